"""Translate errors of Key Vault's SDK, with a remedy for each refusal.

https://learn.microsoft.com/azure/key-vault/general/rest-error-codes
"""

from __future__ import annotations

import logging
import re
from contextlib import contextmanager
from http import HTTPStatus
from json import JSONDecodeError
from typing import TYPE_CHECKING, NamedTuple

from azure.core.exceptions import AzureError, ClientAuthenticationError, HttpResponseError
from azure.identity import CredentialUnavailableError

from shared.adapters.retry_after import requested_wait
from shared.errors import ConfigurationError, ProblemError, TransientError
from shared.telemetry import Event, log_event

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import timedelta

UNAVAILABLE = "key_vault_unavailable"
_DENIED = "key_vault_denied"
_NETWORK = "key_vault_network_denied"
#: The code with which the vault itself says that a secret does not exist. The 404 of a proxy does not prove
#: that.
_SECRET_NOT_FOUND = "SecretNotFound"  # noqa: S105 - a code
#: Codes for a name that cannot be used, at least until the deleted secret is purged.
NAME_TAKEN = frozenset({"ObjectIsDeletedButRecoverable", "ObjectIsBeingDeleted"})


class VaultCode(NamedTuple):
    """One error code of Key Vault.

    Attributes:
        meaning: what the code means.
        problem_code: the app's problem code.
        remedy: what the operator must do.
    """

    meaning: str
    problem_code: str
    remedy: str = ""


_ROLE = "The operator gives the app's managed identity the role Key Vault Secrets Officer on the vault."
_POLICY = (
    "The operator gives the app's managed identity the rights get, list, set, delete and purge in the access "
    "policies of the vault, or has the vault use roles (Azure RBAC)."
)
KEY_VAULT_CODES: dict[str, VaultCode] = {
    "ForbiddenByFirewall": VaultCode(
        "The vault's firewall does not know the address.",
        _NETWORK,
        "The operator lets the app's subnet or outbound addresses through the vault's firewall.",
    ),
    "ForbiddenByConnection": VaultCode(
        "The vault takes calls through a private link only.",
        _NETWORK,
        "The operator checks the vault's private endpoint, its private DNS zone and the app's network "
        "integration.",
    ),
    "ForbiddenByRbac": VaultCode("The identity has no role on the vault.", _DENIED, _ROLE),
    "AccessDenied": VaultCode("The identity is in no access policy of the vault.", _DENIED, _POLICY),
    "ForbiddenByPolicy": VaultCode("A policy of the vault does not allow the call.", _DENIED, _POLICY),
    "SecretDisabled": VaultCode(
        "The secret's version is disabled.",
        _DENIED,
        "The operator enables the newest version of the tenant's secret in the vault, or an admin consents "
        "again.",
    ),
    "Unauthorized": VaultCode(
        "The vault does not accept the identity's token.",
        _DENIED,
        "The operator checks that the vault belongs to the Entra tenant of the app's managed identity.",
    ),
    # Some of a vault's servers return this for minutes for a token that the others accept.
    # https://github.com/hashicorp/terraform-provider-azurerm/issues/30912
    "AKV10046": VaultCode("The vault can't find the key that signed the token, at the moment.", UNAVAILABLE),
    "Throttled": VaultCode("The vault is busy.", UNAVAILABLE),
    "ObjectIsBeingDeleted": VaultCode("The secret is being deleted.", UNAVAILABLE),
    "ObjectIsBeingRecovered": VaultCode("The secret is being recovered.", UNAVAILABLE),
}
_BUSY = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.CONFLICT, HTTPStatus.TOO_MANY_REQUESTS})
_REFUSED = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})
#: Codes that every refusal has, and that say nothing about its reason.
_OUTER = frozenset({"Forbidden", "Conflict"})
_CODE = re.compile(r"[A-Za-z0-9_.-]{1,64}")
#: The code at the start of the message, which alone says why a token was refused.
_REASON = re.compile(r"AKV[0-9]{1,10}")


@contextmanager
def key_vault_errors() -> Iterator[None]:
    """Turn any error of a call into the app's errors.

    A response that cannot be read proves nothing about a secret, so it is a transient error.

    Raises:
        TransientError: `key_vault_unavailable`.
        ConfigurationError: `key_vault_denied`, `key_vault_network_denied`, `key_vault_rejected`.
    """
    try:
        yield
    except AzureError as error:
        raise _translate(error) from error
    except (JSONDecodeError, TypeError, AttributeError) as error:
        # The SDK does not check whether the response is JSON and has the expected members.
        raise TransientError(UNAVAILABLE) from error
    except ValueError as error:
        # The authentication challenge in the response does not belong to a vault at this address.
        raise ConfigurationError(
            "key_vault_rejected", status=HTTPStatus.UNAUTHORIZED.value, error="challenge"
        ) from error


def vault_code(error: HttpResponseError) -> str:
    """Return the most specific code of an error; empty if it has none.

    That is the inner code, or a known code at the start of the message, or the outer code.
    """
    outer = error.error
    if outer is None:
        return ""
    inner = outer.innererror.get("code") if isinstance(outer.innererror, dict) else None
    reason = _REASON.match(str(outer.message))
    known = reason[0] if reason and reason[0] in KEY_VAULT_CODES else None
    for code in (inner, known, outer.code):
        if code and _CODE.fullmatch(str(code)):
            return str(code)
    return ""


def check_absent(error: HttpResponseError) -> None:
    """Raise the error unless the vault says that the secret does not exist."""
    if vault_code(error) != _SECRET_NOT_FOUND:
        raise error


def _translate(error: AzureError) -> ProblemError:
    if isinstance(error, HttpResponseError) and error.status_code is not None:
        return _translate_response(error, error.status_code)
    if isinstance(error, ClientAuthenticationError) and not isinstance(error, CredentialUnavailableError):
        # A developer is not signed in, and the vault was not called.
        return ConfigurationError(_DENIED, error="sign_in_failed", remedy="Sign in with az login.")
    return TransientError(UNAVAILABLE)


def _translate_response(error: HttpResponseError, status: int) -> ProblemError:
    code = vault_code(error)
    known = KEY_VAULT_CODES.get(code)
    if known is None and code not in _OUTER:
        _record_unknown(code, status)
    if known and known.problem_code != UNAVAILABLE:
        return ConfigurationError(known.problem_code, error=code, remedy=known.remedy)
    if known or not HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR or status in _BUSY:
        return TransientError(UNAVAILABLE, retry_after=_requested_wait(error))
    if status in _REFUSED:
        return ConfigurationError(_DENIED, error=code or f"HTTP {status}", remedy=_ROLE)
    if status == HTTPStatus.NOT_FOUND:
        return TransientError(UNAVAILABLE)
    return ConfigurationError("key_vault_rejected", status=status, error=code or "none")


def _requested_wait(error: HttpResponseError) -> timedelta | None:
    return requested_wait(getattr(error.response, "headers", {}))


def _record_unknown(code: str, status: int) -> None:
    """Log a code that the app does not know, so that it can be added."""
    if code:
        log_event(
            Event.UNKNOWN_ERROR_CODE, level=logging.WARNING, service="key_vault", code=code, status=status
        )
