"""The errors of a send: one class for each code."""

import pytest

from shared.errors import TransientError
from shared.sending.errors import ERROR_BY_CODE, SendingError


def test_each_class_is_in_the_table_by_its_code() -> None:
    def subclasses(kind: type[SendingError]) -> set[type[SendingError]]:
        return {kind, *(found for child in kind.__subclasses__() for found in subclasses(child))}

    own = {kind for kind in subclasses(SendingError) if "fixed_code" in vars(kind)}
    assert set(ERROR_BY_CODE.values()) == own


@pytest.mark.parametrize("code", ERROR_BY_CODE)
def test_each_class_fixes_its_code(code: str) -> None:
    error = ERROR_BY_CODE[code](address="a", graph_code="HTTP 400")

    assert (error.code, isinstance(error, TransientError)) == (code, True)
