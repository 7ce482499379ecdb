"""docs/errors.md: every error by code and by visible text.

`make documents` writes it from the tables that the app reads; a test compares.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from shared.adapters.azure_errors import STORAGE_CODES
from shared.adapters.entra_error_codes import ENTRA_CODES
from shared.adapters.graph_error_codes import GRAPH_CODES
from shared.adapters.key_vault_errors import KEY_VAULT_CODES
from shared.problems import catalogue

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

DOCUMENT = Path(__file__).parent.parent / "docs" / "errors.md"
_WHO = {
    "workspace_admin": "workspace admin",
    "microsoft365_admin": "Microsoft 365 admin",
    "operator": "operator",
    "caller": "caller: scheduler or frontend",
    "nobody": "nobody",
}
_AZURE = {
    "BUSY": "storage_unavailable",
    "MISSING": "storage_incomplete",
    "LOCKED": "storage_locked",
    "DENIED": "storage_denied",
    "NETWORK": "storage_network_denied",
}
_HEAD = """\
# Errors

Every code that the app returns: in a problem document of the API (`code`), in a delivery, in the settings and
the checks of a tenant, and in the log (`problem`). `make documents` generates this page from
`shared/problems.toml` and the tables that the app reads; a test compares them.

**Search this page** for the title shown on the page or in a delivery, the code beside it, the AADSTS
number on Microsoft's page or in the log, or the error code of Graph, storage or Key Vault. Each row has
the cause and the remedy.

The most specific code decides, not the HTTP status or the OAuth error. A Microsoft code that is in no
table is classified by its status and logged as `unknown_error_code`. It never rejects a mail: the app
retries the mail until it expires, and its last problem names the response. A refusal of the mailbox or of
a permission applies to every mail once it has occurred twice, five minutes apart, and the consent is
older than one hour; with the app's own permission three hours, because changes in Exchange (RBAC for
Applications, access policies) take up to two.
"""


def document() -> str:
    """Write the document."""
    codes = (
        (_shown(problem.title), f"`{code}`", _WHO[problem.who_acts], _shown(problem.detail))
        for code, problem in catalogue().items()
    )
    entra = (
        (
            f"AADSTS{number}",
            code.meaning,
            f"`{code.problem_code}`",
            _who(code.problem_code),
            _remedy(code.problem_code),
        )
        for number, code in ENTRA_CODES.items()
    )
    graph = (
        (
            f"`{code}`",
            found.meaning,
            f"`{found.problem_code}`",
            _who(found.problem_code),
            _remedy(found.problem_code),
        )
        for code, found in GRAPH_CODES.items()
    )
    storage = (
        (f"`{code}`", found.meaning, f"`{ours}`", _who(ours), _remedy(ours))
        for code, found in STORAGE_CODES.items()
        for ours in (_AZURE[found.kind.name],)
    )
    vault = (
        (
            f"`{code}`",
            found.meaning,
            f"`{found.problem_code}`",
            _who(found.problem_code),
            found.remedy or _remedy(found.problem_code),
        )
        for code, found in KEY_VAULT_CODES.items()
    )
    columns = ("Microsoft's code", "Cause", "Our code", "Who acts", "What the app says, and the remedy")
    parts = [
        _HEAD,
        "## Codes of the app\n",
        *_table(("What a person sees", "Code", "Who acts", "Cause and remedy"), codes),
        "\n## Microsoft Entra\n",
        *_table(columns, entra),
        "\n## Microsoft Graph and Outlook\n",
        *_table(columns, graph),
        "\n## Azure Storage\n",
        *_table(columns, storage),
        "\n## Azure Key Vault\n",
        *_table(columns, vault),
    ]
    return "\n".join(parts) + "\n"


def _who(code: str) -> str:
    return _WHO[catalogue()[code].who_acts]


def _remedy(code: str) -> str:
    problem = catalogue()[code]
    return f"{_shown(problem.title)}. {_shown(problem.detail)}"


def _shown(detail: str) -> str:
    """Show a fact by its name, as `<host>`."""
    return re.sub(r"\{(\w+)\}", r"`<\1>`", detail).replace("|", "\\|")


def _table(columns: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    yield _row(columns)
    yield _row(("---",) * len(columns))
    yield from map(_row, rows)


def _row(cells: tuple[str, ...]) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    DOCUMENT.write_text(document(), "utf-8")
