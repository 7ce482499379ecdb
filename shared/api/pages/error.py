"""Build the page for a request of the consent window that failed.

The page says what to do, and has the reference by which the operator finds the cause in the log. Anybody can
open it, so it shows nothing from the request or the settings.
"""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from shared.api.pages.layout import page_response, paragraphs
from shared.api.problem_details import UnforeseenError, status_of
from shared.errors import ConfigurationError, TransientError
from shared.problems import public_problem

if TYPE_CHECKING:
    from shared.api.request import Response
    from shared.errors import ProblemError
    from shared.problems import Problem

_NEXT = """\
The Tenant Settings page shows whether the consent completed; if it did not, start it again there. If this \
happens again, give the operator of this installation the reference below."""


def error_page(error: ProblemError, reference: str, nonce: str) -> Response:
    """Build the page.

    Args:
        error: why the request failed.
        reference: the trace id of the request in the log.
        nonce: a new value for each response.
    """
    problem = _public_problem(error)
    content = f"""{paragraphs([problem.detail, _NEXT])}
<dl><dt>Reference for support (trace id)</dt><dd><code>{escape(reference)}</code></dd></dl>
<p><small>{escape(problem.code)}</small></p>"""
    return page_response(problem.title, content, nonce, status=status_of(error))


def _public_problem(error: ProblemError) -> Problem:
    """Return the problem that the page shows in place of the error.

    It contains no name of a setting or service, which only the operator may read.
    """
    if isinstance(error, UnforeseenError):
        return public_problem(error.code)
    if isinstance(error, ConfigurationError):
        return public_problem("consent_unavailable")
    if isinstance(error, TransientError):
        return public_problem("consent_interrupted")
    return public_problem("consent_reply_invalid")
