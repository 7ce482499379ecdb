from shared.adapters.entra_error_codes import ENTRA_CODES
from shared.adapters.graph_error_codes import GRAPH_CODES
from shared.problems import catalogue
from tests.errors_document import DOCUMENT, document


def test_the_document_of_errors_is_generated_from_the_tables() -> None:
    assert DOCUMENT.read_text("utf-8") == document(), "run make documents"


def test_the_document_names_every_code_and_who_acts() -> None:
    text = DOCUMENT.read_text("utf-8")

    for code in catalogue():
        assert f"| `{code}` | " in text


def rows() -> dict[str, str]:
    """Return each row of the document by its first cell."""
    lines = [line for line in DOCUMENT.read_text("utf-8").splitlines() if line.startswith("| ")]
    return {line.split(" | ")[0].removeprefix("| "): line for line in lines}


def test_what_a_person_sees_leads_to_code_cause_and_remedy() -> None:
    text = DOCUMENT.read_text("utf-8")

    for code, problem in catalogue().items():
        seen = f"| {problem.title} | `{code}` | "
        assert problem.detail.partition("{")[0] in text.partition(seen)[2].partition("\n")[0], code


def test_each_code_of_microsoft_is_documented_with_cause_and_remedy() -> None:
    for number, code in ENTRA_CODES.items():
        row = rows()[f"AADSTS{number}"]
        assert code.meaning in row
        assert catalogue()[code.problem_code].detail.partition("{")[0] in row
    for name, found in GRAPH_CODES.items():
        assert found.meaning in rows()[f"`{name}`"]
        assert catalogue()[found.problem_code].detail.partition("{")[0] in rows()[f"`{name}`"]
