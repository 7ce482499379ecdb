"""The caller of Graph, and the access of the token to a mailbox."""

import json
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import jwt
from aiohttp import web

from .behaviour import Behaviour
from .consents import Consents
from .directory import Directory, User
from .mail import GraphError
from .scopes import GRAPH_ALIASES
from .tokens import CLAIMS_REQUEST, Tokens
from .vocabulary import challenge_headers


@dataclass(frozen=True)
class Access:
    """A token that Graph accepts.

    Attributes:
        caller: the signed-in user; None for application permission.
        permissions: `scp` or `roles`.
    """

    tenant_id: str
    client_id: str
    caller: User | None
    permissions: frozenset[str]


@dataclass(frozen=True)
class Call:
    """A request whose token has been read and whose mailbox has been found."""

    request: web.Request
    access: Access
    mailbox: User

    @property
    def immutable(self) -> bool:
        """Whether ids are to survive moves."""
        return 'idtype="immutableid"' in self.request.headers.get("Prefer", "").lower()

    @property
    def root(self) -> str:
        """The mailbox as this request names it."""
        return "me" if not self.request.match_info.get("user") else f"users('{self.mailbox.object_id}')"


class AccessRules:
    """Reads bearer tokens and checks mailboxes against them."""

    def __init__(
        self, directory: Directory, tokens: Tokens, consents: Consents, behaviour: Behaviour
    ) -> None:
        self._consents = consents
        self._directory = directory
        self._tokens = tokens
        self._behaviour = behaviour

    def read(self, authorization: str) -> Access:
        """Read an Authorization header.

        Raises:
            GraphError: 401 `InvalidAuthenticationToken`, or `NoPermissionsInAccessToken`.
        """
        kind, _, token = authorization.partition(" ")
        if kind.lower() != "bearer" or not token:
            raise _unauthenticated("Access token is empty.")
        try:
            claims = self._tokens.read(token, sorted(GRAPH_ALIASES))
        except jwt.ExpiredSignatureError as error:
            raise _unauthenticated("Lifetime validation failed, the token is expired.") from error
        except jwt.InvalidAudienceError as error:
            raise _unauthenticated("Access token validation failure. Invalid audience.") from error
        except jwt.InvalidTokenError as error:
            raise _unauthenticated("CompactToken validation failed with reason code: 80049228.") from error
        self._check_wanted_claims(claims)
        return self._access(claims)

    def _check_wanted_claims(self, claims: dict[str, Any]) -> None:
        """Challenge a token that lacks the claims that Graph requires.

        https://learn.microsoft.com/entra/identity-platform/claims-challenge
        """
        wanted = self._behaviour.wanted_claims
        if not wanted or json.loads(claims.get(CLAIMS_REQUEST, "{}")) == json.loads(wanted):
            return
        challenge = challenge_headers(wanted)["WWW-Authenticate"]
        text = "Continuous access evaluation resulted in challenge with result: InteractionRequired."
        status = self._behaviour.wanted_claims_status
        code = "InvalidAuthenticationToken" if status == HTTPStatus.UNAUTHORIZED else "accessDenied"
        raise GraphError(status, code, text, WWW_Authenticate=challenge)

    def _access(self, claims: dict[str, Any]) -> Access:
        client_id = claims.get("appid", "")
        if claims.get("idtyp") == "app":
            permissions = frozenset(claims.get("roles", []))
            lag = self._behaviour.rights_lag
            rules = self._directory.app_rules(client_id), self._directory.app_rules(client_id, lag)
            if not permissions and not any(each.exchange_roles for each in rules):
                text = "The token contains no permissions, or permissions can not be understood."
                raise GraphError(401, "NoPermissionsInAccessToken", text)
            return Access(claims["tid"], client_id, None, permissions)
        caller = self._directory.user(claims.get("oid", ""), claims["tid"])
        if caller is None or not caller.enabled:
            raise _unauthenticated("The identity of the calling application could not be established.")
        return Access(claims["tid"], client_id, caller, frozenset(claims.get("scp", "").split()))

    def mailbox(self, access: Access, name: str) -> User:
        """Find the mailbox of a path; an empty name means `/me`.

        Raises:
            GraphError: 400 for `/me` without a user, 404 for an unknown user or no mailbox.
        """
        if not name and access.caller is None:
            text = "/me request is only valid with delegated authentication flow."
            raise GraphError(400, "BadRequest", text)
        user = self._directory.user_of_path(name, access.tenant_id) if name else access.caller
        if user is None:
            raise GraphError(404, "ErrorInvalidUser", f"The requested user '{name}' is invalid.")
        if not user.has_mailbox:
            text = "The mailbox is either inactive, soft-deleted, or is hosted on-premise."
            raise GraphError(404, "MailboxNotEnabledForRESTAPI", text)
        return user

    def require(self, access: Access, mailbox: User, *names: str) -> None:
        """Require one of these permissions of a caller for a mailbox.

        Raises:
            GraphError: 403 `ErrorAccessDenied`.
        """
        if access.caller is None:
            self._require_application(access, mailbox, names)
            return
        own = access.caller.object_id == mailbox.object_id
        # Mail.Send.Shared and its like include the user's own mailbox.
        fitting = {f"{name}.Shared" for name in names} | (set(names) if own else set())
        if not fitting & self._effective_permissions(access):
            raise _denied()
        lag = self._behaviour.rights_lag
        if not own and not self._directory.has_right(
            "full_access", mailbox.address, access.caller.address, lag
        ):
            raise _denied()

    def require_from(self, access: Access, from_address: str) -> None:
        """Require the right of a signed-in user to name another sender.

        `Mail.Send` is not enough.

        Raises:
            GraphError: 403 `ErrorAccessDenied`.
        """
        caller = access.caller
        if caller is None or not from_address or caller.has_address(from_address):
            return
        if "Mail.Send.Shared" not in self._effective_permissions(access):
            raise _denied()

    def _effective_permissions(self, access: Access) -> frozenset[str]:
        """Return the permissions of a token that were granted long enough ago."""
        lag = self._behaviour.rights_lag
        if not lag:
            return access.permissions
        if access.caller is None:
            return access.permissions & set(
                self._consents.application(access.client_id, access.tenant_id, lag)
            )
        who = access.caller.object_id
        old = self._consents.delegated(access.client_id, access.tenant_id, who, lag)
        return access.permissions & {scope.name for scope in old}

    def _require_application(self, access: Access, mailbox: User, names: tuple[str, ...]) -> None:
        rules = self._directory.app_rules(access.client_id, self._behaviour.rights_lag)
        if rules.has_role(mailbox.address):
            return
        if not set(names) & self._effective_permissions(access):
            raise _denied()
        if not rules.in_scope(mailbox.address):
            raise GraphError(403, "ErrorAccessDenied", "Access to OData is disabled.")


def _denied() -> GraphError:
    return GraphError(403, "ErrorAccessDenied", "Access is denied. Check credentials and try again.")


def _unauthenticated(message: str) -> GraphError:
    return GraphError(401, "InvalidAuthenticationToken", message, WWW_Authenticate='Bearer realm=""')
