"""The texts of problems are complete, filled and used."""

import ast
import re
import string
from pathlib import Path

import pytest

from shared.errors import ConfigurationError, MailerError, TransientError
from shared.problems import Actor, catalogue, explain

ROOT = Path(__file__).parent.parent
SOURCE = "\n".join(path.read_text("utf-8") for path in (ROOT / "shared").rglob("*.py"))


def params_of(detail: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(detail) if name}


@pytest.mark.parametrize("code", catalogue())
def test_a_problem_is_described_in_whole_sentences(code: str) -> None:
    problem = catalogue()[code]

    assert re.fullmatch(r"[a-z0-9]+(_[a-z0-9]+)*", code)
    assert not problem.title.endswith(".")
    assert problem.detail.endswith(".")
    assert "  " not in problem.detail


@pytest.mark.parametrize("code", catalogue())
def test_a_problem_in_the_catalogue_is_one_that_happens(code: str) -> None:
    assert f'"{code}"' in SOURCE


def raised_codes() -> set[str]:
    """Find the first argument of every raise of one of our errors."""
    return {
        call.args[0].value
        for call in ast.walk(ast.parse(SOURCE.replace("from __future__ import annotations", "")))
        if isinstance(call, ast.Call)
        and isinstance(call.func, ast.Name)
        and (call.func.id.endswith("Error") or call.func.id in {"explain", "translated"})
        and call.args
        and isinstance(call.args[0], ast.Constant)
        and isinstance(call.args[0].value, str)
        and re.fullmatch(r"[a-z0-9_]+", call.args[0].value)
    }


def test_every_code_that_is_raised_is_in_the_catalogue() -> None:
    assert len(raised_codes()) > 20
    assert raised_codes() - set(catalogue()) == set()


def test_a_detail_is_filled_with_its_parameters() -> None:
    problem = explain("already_enabled", address="reports@contoso.com")

    assert problem.detail.startswith("Sending is enabled for reports@contoso.com.")
    assert problem.who_acts is Actor.WORKSPACE_ADMIN


def test_a_missing_parameter_of_a_problem_is_a_bug_and_reported() -> None:
    with pytest.raises(KeyError, match="setting"):
        explain("setting_missing")


def test_an_error_begins_with_microsofts_id_of_the_call() -> None:
    error = TransientError("graph_unavailable", request_id="b1e0")

    assert str(error).startswith("b1e0: graph_unavailable:")


def test_a_configuration_error_is_not_one_of_the_mail_errors() -> None:
    assert issubclass(TransientError, MailerError)
    assert not issubclass(ConfigurationError, MailerError)
