"""A visit to the sign-in pages: request, next page, response to the app."""

import re
import secrets
import threading
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Literal

from .aadsts import Refused
from .behaviour import Behaviour
from .clock import Clock
from .consents import EVERYBODY, Consents
from .directory import AppRegistration, Directory, Tenant, User
from .grants import Code, Grants
from .scopes import DEFAULT, Scope, mixes_default, needs_admin, unknown
from .tokens import client_info
from .visit import Response, Visit, expanded

#: How long the form of a page is accepted; not published, and at least as long as a code lives.
VISIT_LIFETIME = timedelta(minutes=30)
_ALLOWED = {
    "response_mode": {"", "query", "fragment", "form_post"},
    "prompt": {"", "login", "none", "consent", "select_account", "create"},
    "code_challenge_method": {"", "plain", "S256"},
}
#: RFC 7636 section 4.2.
_CHALLENGE = re.compile(r"[A-Za-z0-9._~-]{43,128}")

type Step = Literal["choose", "consent", "approval", "done"]


class AuthorizationRequest:
    """The rules of the sign-in pages, without HTTP."""

    def __init__(
        self, directory: Directory, consents: Consents, grants: Grants, clock: Clock, behaviour: Behaviour
    ) -> None:
        self._directory = directory
        self._consents = consents
        self._grants = grants
        self._clock = clock
        self._behaviour = behaviour
        self._lock = threading.Lock()
        self._visits: dict[str, Visit] = {}
        self._began: dict[str, datetime] = {}
        #: Further roots that mean Graph: the emulator's own.
        self.graph_names: frozenset[str] = frozenset()

    def begin(self, tenant_name: str, query: Mapping[str, str]) -> Visit:
        """Read an authorization request.

        Raises:
            Refused: shown on Entra's own page, because the redirect address is not trusted.
        """
        app = self._known_app(tenant_name, query)
        _check_parameters(query)
        visit = Visit.read("authorize", tenant_name, app, query, self.graph_names)
        if mixes_default(visit.requested.permissions):
            raise Refused(70011, f"'{visit.scope_text}'")
        return self._keep(replace(visit, requested=expanded(visit.requested, app)))

    def begin_admin_consent(self, tenant_name: str, query: Mapping[str, str]) -> Visit:
        """Read an admin consent request.

        Raises:
            Refused: shown on Entra's own page.
        """
        if tenant_name == "common":
            raise Refused(90002, "'common'")
        app = self._known_app(tenant_name, query)
        if not query.get("scope"):
            raise Refused(900144, "'scope'")
        visit = Visit.read("adminconsent", tenant_name, app, query, self.graph_names)
        if mixes_default(visit.requested.permissions):
            raise Refused(70011, f"'{visit.scope_text}'")
        return self._keep(replace(visit, response_mode="query", prompt=""))

    def find(self, visit_id: str) -> Visit | None:
        """Find a visit that has neither ended nor been left for too long."""
        with self._lock:
            began = self._began.get(visit_id)
            fresh = began is not None and self._clock.now() < began + VISIT_LIFETIME
            return self._visits.get(visit_id) if fresh else None

    def problem(self, visit: Visit, session: User | None) -> Response | None:
        """Return the error that is redirected to the app; None if there is none."""
        if visit.purpose == "authorize" and (wrong := unknown(visit.requested.permissions)):
            return self._error(visit, Refused(650053, f"'{wrong[0]}'"))
        if visit.prompt != "none":
            return None
        if session is None:
            return self._reply(
                visit, {"error": "login_required", "error_description": "AADSTS50058: No session."}
            )
        if self.step(replace(visit, user=session)) != "done":
            text = "AADSTS65001: The user or administrator has not consented to use the application."
            return self._reply(visit, {"error": "interaction_required", "error_description": text})
        return None

    def choose(self, visit: Visit, address: str) -> Visit:
        """Sign in a user.

        Raises:
            Refused: no such user in this tenant, or not allowed; shown on Entra's own page.
        """
        tenant = self._directory.tenant(visit.tenant_name)
        user = self._directory.user_who_signs_in(address.strip(), tenant.tenant_id if tenant else None)
        if user is None or not user.is_person:
            raise Refused(50034, f"'{address}'")
        if tenant is not None and user.tenant_id != tenant.tenant_id:
            raise Refused(50020, f"'{user.signs_in_as}'")
        if not user.enabled:
            raise Refused(50057)
        if user.sign_in_problem:
            raise Refused(user.sign_in_problem)
        return self._keep(replace(visit, user=user))

    def step(self, visit: Visit) -> Step:
        """Return the next page."""
        user = visit.user
        if user is None:
            return "choose"
        if visit.purpose == "adminconsent":
            return "consent" if user.is_admin else "approval"
        missing = self.missing(visit)
        # prompt=consent requests everything again, even for what an admin has granted to all.
        requested = list(visit.requested.permissions) if visit.prompt == "consent" else missing
        if not requested and visit.prompt != "consent":
            return "done"
        policy = self._tenant_of(user).user_consent
        if not user.is_admin and any(needs_admin(scope, policy) for scope in requested):
            return "approval"
        return "consent"

    def missing(self, visit: Visit) -> list[Scope]:
        """List the requested permissions that are not granted yet."""
        if visit.user is None:
            return list(visit.requested.permissions)
        granted = self._consents.delegated(visit.app.client_id, visit.user.tenant_id, visit.user.object_id)
        return [scope for scope in visit.requested.permissions if scope not in granted]

    def accept(self, visit: Visit, *, for_everybody: bool = False) -> Response:
        """Grant what the page showed and respond to the app; needs a user."""
        user = self._user_of(visit)
        if visit.purpose == "adminconsent":
            return self._grant_organisation(visit, user)
        granted = [s for s in visit.requested.permissions if s.name not in self._behaviour.withheld_scopes]
        who = EVERYBODY if for_everybody and user.is_admin else user.object_id
        self._consents.grant(visit.app.client_id, user.tenant_id, who, granted)
        return self.finish(visit)

    def finish(self, visit: Visit) -> Response:
        """Respond to the app with a code; the visit must have a user."""
        user = self._user_of(visit)
        permissions = tuple(
            s for s in visit.requested.permissions if s.name not in self._behaviour.withheld_scopes
        )
        code = Code(
            client_id=visit.app.client_id,
            tenant=visit.tenant_name,
            user_id=user.object_id,
            redirect_uri=visit.redirect_uri,
            permissions=permissions,
            sign_in=visit.requested.sign_in,
            nonce=visit.nonce,
            challenge=visit.challenge,
            challenge_method=visit.challenge_method,
            issued=self._clock.now(),
        )
        fields = {"code": self._grants.new_code(code)}
        if visit.wants_client_info:
            fields["client_info"] = client_info(user)
        return self._reply(visit, fields | {"session_state": secrets.token_hex(16)})

    def decline(self, visit: Visit) -> Response:
        """Respond to the app that the person pressed Cancel."""
        refusal = Refused(65004)
        if visit.purpose == "adminconsent":
            # A decline says admin_consent=True as well: the error alone tells the two apart.
            fields = {"error": "consent_required", "error_description": refusal.message}
            return self._reply(visit, fields | self._admin_fields(visit))
        fields = {"error": "access_denied", "error_subcode": "cancel"}
        if self._behaviour.decline_description:
            fields["error_description"] = refusal.message
        return self._reply(visit, fields)

    def return_without_consent(self, visit: Visit) -> Response:
        """Respond from the approval page: as a decline, without a number."""
        fields = {"error": "access_denied", "error_subcode": "cancel"}
        if self._behaviour.decline_description:
            fields["error_description"] = "the user canceled the authentication"
        return self._reply(visit, fields)

    def approval_can_return(self, visit: Visit) -> bool:
        """Tell whether the approval page has a return link to the app."""
        return visit.user is not None and self._tenant_of(visit.user).approval_can_return

    def _grant_organisation(self, visit: Visit, user: User) -> Response:
        app = visit.app
        for scope in visit.requested.permissions:
            if scope.name == DEFAULT:
                self._consents.grant_application(app.client_id, user.tenant_id, app.application_permissions)
                delegated = [Scope(scope.resource, name) for name in app.delegated_permissions]
                self._consents.grant(app.client_id, user.tenant_id, EVERYBODY, delegated)
            else:
                self._consents.grant(app.client_id, user.tenant_id, EVERYBODY, [scope])
        return self._reply(visit, self._admin_fields(visit))

    def _admin_fields(self, visit: Visit) -> dict[str, str]:
        tenant = self._behaviour.forged_tenant or self._user_of(visit).tenant_id
        return {"admin_consent": "True", "tenant": tenant, "scope": visit.scope_text}

    def _known_app(self, tenant_name: str, query: Mapping[str, str]) -> AppRegistration:
        tenant = self._directory.tenant(tenant_name)
        if tenant is None and tenant_name not in ("common", "organizations"):
            raise Refused(90002, f"'{tenant_name}'")
        if not query.get("client_id"):
            raise Refused(900144, "'client_id'")
        app = self._directory.app(query["client_id"])
        if app is None:
            raise Refused(700016, f"'{query['client_id']}'")
        if not app.multi_tenant and (tenant is None or tenant.tenant_id != app.tenant_id):
            raise Refused(50194 if tenant is None else 700016, f"'{app.client_id}'")
        if not app.enabled:
            raise Refused(7000112)
        if query.get("redirect_uri", "") not in app.redirect_uris:
            raise Refused(50011, f"'{query.get('redirect_uri', '')}'")
        return app

    def _error(self, visit: Visit, refusal: Refused) -> Response:
        return self._reply(visit, {"error": refusal.error, "error_description": refusal.message})

    def _reply(self, visit: Visit, fields: dict[str, str]) -> Response:
        with self._lock:
            self._visits.pop(visit.visit_id, None)
        state = {"state": visit.state} if visit.state else {}
        return Response(visit.redirect_uri, visit.response_mode, fields | state)

    def _keep(self, visit: Visit) -> Visit:
        with self._lock:
            self._visits[visit.visit_id] = visit
            self._began.setdefault(visit.visit_id, self._clock.now())
        return visit

    def _tenant_of(self, user: User) -> Tenant:
        tenant = self._directory.tenant(user.tenant_id)
        if tenant is None:
            raise Refused(90002)
        return tenant

    @staticmethod
    def _user_of(visit: Visit) -> User:
        if visit.user is None:
            raise Refused(50034)
        return visit.user


def _check_parameters(query: Mapping[str, str]) -> None:
    """Refuse a request with a missing parameter or a value unknown to Entra."""
    for name in ("response_type", "scope"):
        if not query.get(name):
            raise Refused(900144, f"'{name}'")
    if query["response_type"] != "code":
        raise Refused(9002313, "'response_type'")
    for name, allowed in _ALLOWED.items():
        if query.get(name, "") not in allowed:
            raise Refused(90023, f"'{name}'")
    # Microsoft's own library never sends both: https://github.com/AzureAD/microsoft-authentication-library-for-js/pull/3315
    if query.get("prompt") == "select_account" and query.get("login_hint"):
        raise Refused(90023, "'login_hint'")
    challenge = query.get("code_challenge", "")
    if challenge and not _CHALLENGE.fullmatch(challenge):
        raise Refused(501491)
