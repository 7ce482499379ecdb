"""Sample data: Contoso, which uses the app, and Fabrikam, which does not.

Fabrikam must never get access.
"""

from .directory import AppRegistration, Directory, Group, Secret, Tenant, User

CONTOSO = "6f1c0000-0000-4000-8000-00000000c0de"
FABRIKAM = "6f1c0000-0000-4000-8000-0000000fab00"
CLIENT_ID = "6f1c0000-0000-4000-8000-0000000000a1"
FRONTEND_CLIENT_ID = "6f1c0000-0000-4000-8000-0000000000f1"
CLIENT_SECRET = "local~client~secret~contoso"
WORKSPACE_ADMIN = "Workspace.Admin"

ADA = "ada@contoso.com"
REPORTS = "reports@contoso.com"
UMA = "uma@contoso.com"
FINANCE = "finance@contoso.com"
BOARD = "board-reports@contoso.com"
MALLORY = "mallory@fabrikam.com"


def contoso() -> Directory:
    """Build the directory of the local stack.

    Ada administers Microsoft 365 and the workspace. Reports is the mailbox that reports come from, Uma
    nobody special: neither is an admin of anything. Finance is a shared mailbox that Ada and Reports
    look after, Board a distribution list that Ada may send as.
    """
    system = Directory()
    admin = frozenset({WORKSPACE_ADMIN})
    system.add(Tenant(CONTOSO, "contoso.com", "Contoso"), Tenant(FABRIKAM, "fabrikam.com", "Fabrikam"))
    system.add(
        User(_oid(1), CONTOSO, ADA, "Ada Lovelace", is_admin=True, app_roles=admin),
        User(_oid(2), CONTOSO, REPORTS, "Contoso Reports"),
        User(_oid(3), CONTOSO, UMA, "Uma Undecided"),
        User(_oid(4), CONTOSO, FINANCE, "Finance", is_person=False),
        User(_oid(5), FABRIKAM, MALLORY, "Mallory Malone", is_admin=True, app_roles=admin),
        Group(_oid(6), CONTOSO, BOARD, "Board reports"),
    )
    for person in (REPORTS, ADA):
        system.grant("send_as", on=FINANCE, to=person)
        system.grant("full_access", on=FINANCE, to=person)
    system.grant("send_as", on=BOARD, to=ADA)
    system.add(AppRegistration(CLIENT_ID, CONTOSO, "Inforiver Mailer", secrets=(Secret(CLIENT_SECRET),)))
    return system


def _oid(number: int) -> str:
    return f"0b1ec700-0000-4000-8000-{number:012d}"
