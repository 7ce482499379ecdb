"""An error code that has a class is raised only with that class."""

import ast
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import pytest

from shared.sending.errors import ERROR_BY_CODE

ROOT = Path(__file__).parent.parent
SHARED = sorted((ROOT / "shared").rglob("*.py"))
SOURCES = [*SHARED, *(path for path in (ROOT / "tests").rglob("*.py") if "node_modules" not in path.parts)]
#: Codes whose class takes them as its argument, or fixes them.
OWNERS = {
    "attempt_too_long": "AttemptTooLongError",
    "consent_declined": "ConsentDeclinedError",
    "consent_refused": "ConsentDeclinedError",
    "consent_replaced": "ConsentReplacedError",
    "consent_expired": "ConsentExpiredError",
    "consent_not_continued": "ConsentExpiredError",
    "entra_unavailable": "EntraUnavailableError",
    "internal_error": "UnforeseenError",
    "other_installation": "OtherInstallationError",
    "smtp_provider_not_office365": "OtherProviderError",
} | {code: kind.__name__ for code, kind in ERROR_BY_CODE.items()}
#: Codes that Graph's own code makes a lasting refusal, which is another class.
ALSO = set(product(("access_denied", "mailbox_not_found"), ("RejectedError", "SenderRefusedError")))
#: What is shown to anybody is chosen by code, and the adapter reads Graph's refusals of a chunk.
BY_DESIGN = {"shared/api/consent.py": 1, "shared/adapters/graph.py": 1}


def other_classes(text: str) -> Iterator[tuple[str, str]]:
    """Yield each code with a class that a module raises with another one."""
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.Call) or not node.args or not isinstance(node.args[0], ast.Constant):
            continue
        name = getattr(node.func, "id", getattr(node.func, "attr", ""))
        code = str(node.args[0].value)
        if name.endswith("Error") and OWNERS.get(code, name) != name and (code, name) not in ALSO:
            yield code, name


def decisions_by_code(text: str) -> int:
    """Count comparisons of a raised error's code and look-ups by it."""
    tree = ast.parse(text)
    names = {"error"}
    for node in ast.walk(tree):
        if isinstance(node, ast.ExceptHandler) and node.name:
            names.add(node.name)
        if isinstance(node, ast.arg) and node.annotation and ast.unparse(node.annotation).endswith("Error"):
            names.add(node.arg)

    def is_code(node: ast.expr) -> bool:
        return isinstance(node, ast.Attribute) and node.attr == "code" and ast.unparse(node.value) in names

    return sum(
        (isinstance(node, ast.Compare) and is_code(node.left))
        or (isinstance(node, ast.Subscript) and is_code(node.slice))
        or (isinstance(node, ast.Match) and is_code(node.subject))
        or (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr == "get"
            and any(is_code(each) for each in node.args[:1])
        )
        for node in ast.walk(tree)
    )


def test_a_code_that_has_a_class_is_never_raised_with_another_one() -> None:
    found = {str(path.relative_to(ROOT)): list(other_classes(path.read_text())) for path in SOURCES}

    assert {
        path: each for path, each in found.items() if each and path != "tests/test_error_classes.py"
    } == {}


def test_no_decision_depends_on_the_code_of_an_error() -> None:
    found = {str(path.relative_to(ROOT)): decisions_by_code(path.read_text()) for path in SHARED}

    assert {path: count for path, count in found.items() if count} == BY_DESIGN


def test_a_code_without_its_class_is_found() -> None:
    assert list(other_classes('errors.TransientError("draft_lost", x=1)')) == [
        ("draft_lost", "TransientError")
    ]


@pytest.mark.parametrize(
    "statement",
    [
        "if error.code == 'draft_lost': pass",
        "def f(lost: MailerError): return lost.code in CODES",
        "try: f()\nexcept MailerError as lost: ENDS.get(lost.code)",
        "ENDS[error.code]",
        "match error.code:\n  case 'draft_lost': pass",
    ],
)
def test_a_decision_by_code_is_found(statement: str) -> None:
    assert decisions_by_code(statement) == 1
