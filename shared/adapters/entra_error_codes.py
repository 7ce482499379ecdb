"""Map Entra's error numbers to their meaning and the app's problem codes.

The numbers are from https://learn.microsoft.com/entra/identity-platform/reference-error-codes.
`problems.toml` says who must act on each problem code.
"""

from __future__ import annotations

from typing import NamedTuple


class EntraCode(NamedTuple):
    """One AADSTS number.

    Attributes:
        meaning: what the number means.
        problem_code: the app's problem code.
        general: the number is unspecific, and counts only if neither another number nor `invalid_grant` says
            more.
    """

    meaning: str
    problem_code: str
    general: bool = False


_LOST = "consent_lost"
_BLOCKED = "sign_in_blocked"
_UNUSABLE = "account_unusable"
_CREDENTIAL = "client_credential_refused"
_REGISTRATION = "app_registration_wrong"
_APPROVAL = "admin_approval_needed"
_REMOVED = "app_removed"
_WAIT = "entra_unavailable"

ENTRA_CODES: dict[int, EntraCode] = {
    50001: EntraCode("The resource is not known in this organisation, or disabled.", _REGISTRATION),
    50002: EntraCode("The organisation may not be signed in to from this network.", _BLOCKED),
    50005: EntraCode("Conditional access refuses the platform of the device.", _BLOCKED),
    50012: EntraCode("Authentication failed.", _CREDENTIAL, general=True),
    50013: EntraCode("The assertion is not valid: its issuer, signature or time.", _CREDENTIAL),
    50014: EntraCode("The guest has not accepted the invitation.", _BLOCKED),
    50020: EntraCode("The account is of another organisation and was not invited.", _BLOCKED),
    50027: EntraCode("The assertion is not a valid JWT.", _CREDENTIAL),
    50033: EntraCode("A passing error of the service.", _WAIT),
    50034: EntraCode("The account does not exist in this organisation.", _UNUSABLE),
    50053: EntraCode("The account is locked after wrong passwords, or its IP address is blocked.", _BLOCKED),
    50055: EntraCode("The password is expired.", _LOST),
    50057: EntraCode("The account is disabled.", _UNUSABLE),
    50058: EntraCode("There is no session any more; the account must sign in.", _LOST),
    50059: EntraCode("The request names no organisation.", _REGISTRATION),
    50072: EntraCode("The account must enrol for multifactor authentication.", _LOST),
    50074: EntraCode("Multifactor authentication is required.", _LOST),
    50076: EntraCode("Multifactor authentication is required by a new rule or place.", _LOST),
    50078: EntraCode("The multifactor authentication is expired.", _LOST),
    50079: EntraCode("The account must enrol for multifactor authentication.", _LOST),
    50085: EntraCode("The grant needs a sign-in at the account's own provider.", _LOST),
    50097: EntraCode("Conditional access requires a device that proves itself.", _BLOCKED),
    50105: EntraCode("The account is not assigned to the app.", _BLOCKED),
    50125: EntraCode("The sign-in was interrupted by a change of the password.", _LOST),
    50128: EntraCode("The name of the organisation is not valid.", _REGISTRATION),
    50129: EntraCode("Conditional access requires a device that joined the workplace.", _BLOCKED),
    50131: EntraCode("Conditional access refuses this device or place.", _BLOCKED),
    50132: EntraCode("The session is revoked or its password changed.", _LOST),
    50133: EntraCode("The session is over because the password changed.", _LOST),
    50144: EntraCode("The password of the account in Active Directory is expired.", _LOST),
    50155: EntraCode("The device could not prove itself.", _BLOCKED),
    50158: EntraCode("An external provider must confirm the sign-in.", _LOST),
    50173: EntraCode("The grant is revoked because the password changed or was reset.", _LOST),
    50196: EntraCode("Too many equal requests in a short time.", _WAIT),
    51004: EntraCode("The account does not exist in this directory.", _UNUSABLE),
    53000: EntraCode("Conditional access requires a compliant device.", _BLOCKED),
    53001: EntraCode("Conditional access requires a device that joined the domain.", _BLOCKED),
    53002: EntraCode("Conditional access refuses the app.", _BLOCKED),
    53003: EntraCode("Conditional access blocks the access.", _BLOCKED),
    53004: EntraCode("The account may not enrol for multifactor authentication now.", _BLOCKED),
    53011: EntraCode("The account is blocked because of a risk.", _BLOCKED),
    54005: EntraCode("The code was redeemed already.", _LOST),
    65001: EntraCode("Nobody consented to the permissions, or the consent was removed.", _LOST),
    65004: EntraCode("The consent was declined.", _LOST),
    65005: EntraCode("The app registration does not list the permission.", _REGISTRATION),
    70000: EntraCode("The grant is not valid.", _LOST, general=True),
    70001: EntraCode("The app is disabled in this organisation.", _BLOCKED),
    70002: EntraCode("The credential is not valid.", _CREDENTIAL, general=True),
    70003: EntraCode("The grant type is not supported.", _REGISTRATION),
    70005: EntraCode("The response type is not supported.", _REGISTRATION),
    70008: EntraCode("The grant is expired or was not used for too long.", _LOST),
    70011: EntraCode("The scope is not valid.", _REGISTRATION),
    70021: EntraCode("No federated credential matches the assertion.", _CREDENTIAL),
    70043: EntraCode("The grant is expired: sign-in frequency of conditional access.", _LOST),
    80001: EntraCode("The organisation's own sign-in servers cannot be reached.", _WAIT),
    90002: EntraCode("The organisation does not exist.", _REGISTRATION),
    90006: EntraCode("An external server cannot be reached.", _WAIT),
    90012: EntraCode("A request timed out inside the service.", _WAIT),
    90013: EntraCode("The request is not valid.", _REGISTRATION),
    90014: EntraCode("A field of the request is missing.", _REGISTRATION),
    90019: EntraCode("The request names no organisation.", _REGISTRATION),
    90023: EntraCode("The request is not valid.", _REGISTRATION),
    90024: EntraCode("The request budget is used up for now.", _WAIT),
    90027: EntraCode("The version of the request is not supported.", _REGISTRATION),
    90033: EntraCode("A service is not available for now.", _WAIT),
    90036: EntraCode("A passing error of the directory.", _WAIT),
    90051: EntraCode("The national cloud is not valid.", _REGISTRATION),
    90055: EntraCode("Too many requests at the same time.", _WAIT),
    90072: EntraCode("The account does not exist in this organisation.", _BLOCKED),
    90090: EntraCode("The service is busy.", _WAIT),
    90091: EntraCode("The service is busy.", _WAIT),
    90093: EntraCode("The scope needs an admin's consent.", _APPROVAL),
    90094: EntraCode("An admin must consent.", _APPROVAL),
    90095: EntraCode("An admin must consent; the person asked for it.", _APPROVAL),
    500011: EntraCode("The organisation has no service principal of the resource.", _REGISTRATION),
    500014: EntraCode("The service principal of the resource is disabled.", "service_disabled"),
    500021: EntraCode("The organisation's network does not let this organisation be signed in to.", _BLOCKED),
    500022: EntraCode("The organisation's network does not let this organisation be signed in to.", _BLOCKED),
    500112: EntraCode("The redirect URI does not match.", _REGISTRATION),
    500113: EntraCode("The app registration has no redirect URI.", _REGISTRATION),
    500121: EntraCode("The multifactor authentication failed.", _LOST),
    500133: EntraCode("The assertion is outside its time.", _CREDENTIAL),
    500341: EntraCode("The account was deleted in its own organisation.", _BLOCKED),
    500571: EntraCode("The guest account is disabled.", _BLOCKED),
    501461: EntraCode("The audience of the assertion is not accepted.", _REGISTRATION),
    530003: EntraCode("Conditional access requires a managed device.", _BLOCKED),
    530031: EntraCode("Conditional access blocks the access.", _BLOCKED),
    530032: EntraCode("A rule of the organisation blocks the access.", _BLOCKED),
    530034: EntraCode("The account is blocked because of a risk.", _BLOCKED),
    530035: EntraCode("Security defaults block the access.", _BLOCKED),
    650052: EntraCode("The organisation has no subscription or service principal of the resource.", _BLOCKED),
    650053: EntraCode("The resource has no such scope.", _REGISTRATION),
    650054: EntraCode("The resource was removed or is not available.", _REGISTRATION),
    650056: EntraCode("The app registration is incomplete, or nobody consented to it.", _REGISTRATION),
    650057: EntraCode("The app registration does not list the resource.", _REGISTRATION),
    700003: EntraCode("The device is not found.", _LOST),
    700005: EntraCode("The code is for another organisation.", _REGISTRATION),
    700016: EntraCode("The app is not found in this organisation.", _REMOVED),
    700021: EntraCode("The assertion is for another app.", _CREDENTIAL),
    700022: EntraCode("Several organisations may not be named with this grant.", _REGISTRATION),
    700023: EntraCode("The assertion names no audience.", _CREDENTIAL),
    700024: EntraCode("The assertion is outside its time.", _CREDENTIAL),
    700025: EntraCode("The app is registered as a public client and may have no credential.", _REGISTRATION),
    700027: EntraCode("The signature of the assertion is not valid.", _CREDENTIAL),
    700030: EntraCode("The certificate is not valid.", _CREDENTIAL),
    700082: EntraCode("The refresh token was not used for too long.", _LOST),
    700084: EntraCode("The refresh token is expired.", _LOST),
    700211: EntraCode("No federated credential has the issuer of the assertion.", _CREDENTIAL),
    700212: EntraCode("No federated credential has the audience of the assertion.", _CREDENTIAL),
    700213: EntraCode("No federated credential has the subject of the assertion.", _CREDENTIAL),
    700229: EntraCode("The assertion is not one that a federated credential may be.", _CREDENTIAL),
    7000012: EntraCode("The grant is for another organisation.", _LOST),
    7000112: EntraCode("The app is disabled.", _BLOCKED),
    7000215: EntraCode("The client secret is wrong.", _CREDENTIAL),
    7000216: EntraCode("The request needs a client credential.", _CREDENTIAL),
    7000218: EntraCode("The request has no client credential.", _CREDENTIAL),
    7000222: EntraCode("The client secret is expired.", _CREDENTIAL),
    7000229: EntraCode("The organisation has no service principal of the app.", _REMOVED),
    9001023: EntraCode("The grant type is not supported for this authority.", _REGISTRATION),
    # Together with `invalid_grant` it means that the token or the code is malformed:
    # MicrosoftDocs/azure-docs#63819.
    9002313: EntraCode("The request, or the grant in it, is malformed.", _REGISTRATION, general=True),
}
