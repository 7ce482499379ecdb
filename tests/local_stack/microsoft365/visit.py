"""The visit to the sign-in pages and the response to the app."""

import secrets
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Literal, Self
from urllib.parse import urlencode

from .directory import AppRegistration, User
from .scopes import (
    APPLICATION_PERMISSIONS,
    DEFAULT,
    GRAPH,
    GRAPH_PERMISSIONS,
    Scope,
    ScopeRequest,
    parse,
)

type Purpose = Literal["authorize", "adminconsent"]


@dataclass(frozen=True)
class Visit:
    """One pass through the pages, from the app's request to its response.

    Attributes:
        purpose: `authorize` ends in a code, `adminconsent` in a yes or no for the whole organisation.
        user: the chosen user; None before the choice.
    """

    visit_id: str
    purpose: Purpose
    tenant_name: str
    app: AppRegistration
    requested: ScopeRequest
    scope_text: str
    redirect_uri: str
    response_mode: str
    state: str
    nonce: str = ""
    challenge: str = ""
    challenge_method: str = ""
    prompt: str = ""
    login_hint: str = ""
    wants_client_info: bool = False
    user: User | None = None

    @classmethod
    def read(
        cls,
        purpose: Purpose,
        tenant_name: str,
        app: AppRegistration,
        query: Mapping[str, str],
        graph_names: Collection[str],
    ) -> Self:
        """Read the parameters of a request whose app is known."""
        return cls(
            visit_id=secrets.token_urlsafe(16),
            purpose=purpose,
            tenant_name=tenant_name,
            app=app,
            requested=parse(query.get("scope", ""), graph_names),
            scope_text=query.get("scope", ""),
            redirect_uri=query.get("redirect_uri", ""),
            response_mode=query.get("response_mode", "query"),
            state=query.get("state", ""),
            nonce=query.get("nonce", ""),
            challenge=query.get("code_challenge", ""),
            challenge_method=query.get("code_challenge_method", "plain"),
            prompt=query.get("prompt", ""),
            login_hint=query.get("login_hint", ""),
            wants_client_info=query.get("client_info") == "1",
        )


@dataclass(frozen=True)
class Response:
    """The response to the app, by redirect or by a posted form."""

    redirect_uri: str
    mode: str
    fields: dict[str, str]

    @property
    def url(self) -> str:
        """The redirect target in query mode."""
        joint = "&" if "?" in self.redirect_uri else "?"
        return f"{self.redirect_uri}{joint}{urlencode(self.fields)}"


def expanded(requested: ScopeRequest, app: AppRegistration) -> ScopeRequest:
    """Replace Graph's `.default` by the permissions of the registration."""
    listed: list[Scope] = []
    for scope in requested.permissions:
        is_default = (scope.resource, scope.name) == (GRAPH, DEFAULT)
        names = app.delegated_permissions if is_default else (scope.name,)
        listed += [Scope(scope.resource, name) for name in names]
    return replace(requested, permissions=tuple(dict.fromkeys(listed)))


def shown_permissions(visit: Visit, missing: list[Scope]) -> list[tuple[str, str]]:
    """List names and sentences on a consent page; `missing` is not granted."""
    if visit.purpose == "adminconsent":
        every = visit.app.application_permissions
        requested = [
            every if scope.name == DEFAULT else (scope.name,) for scope in visit.requested.permissions
        ]
        names = dict.fromkeys(name for group in requested for name in group)
        return [(name, APPLICATION_PERMISSIONS.get(name, name)) for name in names]
    shown = visit.requested.permissions if visit.prompt == "consent" else missing
    listed = [(scope.name, GRAPH_PERMISSIONS.get(scope.name, scope.name)) for scope in shown]
    if "offline_access" in visit.requested.sign_in:
        listed.append(("offline_access", "Maintain access to data you have given it access to"))
    return listed
