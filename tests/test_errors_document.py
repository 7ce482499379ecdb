from shared.problems import catalogue
from tests.errors_document import DOCUMENT, document


def test_the_document_of_errors_is_made_from_the_tables() -> None:
    assert DOCUMENT.read_text("utf-8") == document(), "run make documents"


def test_the_document_names_every_code_and_who_acts() -> None:
    text = DOCUMENT.read_text("utf-8")

    for code in catalogue():
        assert f"| `{code}` | " in text
