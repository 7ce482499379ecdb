"""The consent window's page for a request that failed without a result.

It says what to do, and the reference by which the operator finds the cause in the log. It shows nothing from
the request or the settings: anybody can open it.
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
        reference: the trace id under which it is in the log.
        nonce: fresh for each response.
    """
    problem = _shown(error)
    content = f"""{paragraphs([problem.detail, _NEXT])}
<dl><dt>Reference for support (trace id)</dt><dd><code>{escape(reference)}</code></dd></dl>
<p><small>{escape(problem.code)}</small></p>"""
    return page_response(problem.title, content, nonce, status=status_of(error))


def _shown(error: ProblemError) -> Problem:
    """Return what the person may read.

    The name of a setting or service is for the operator only.
    """
    if isinstance(error, UnforeseenError):
        return public_problem(error.code)
    if isinstance(error, ConfigurationError):
        return public_problem("consent_unavailable")
    return public_problem(
        "consent_interrupted" if isinstance(error, TransientError) else "consent_reply_invalid"
    )
