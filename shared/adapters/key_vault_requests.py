"""Retry requests to Key Vault, and check responses that the SDK does not."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from azure.core.pipeline.policies import RetryPolicy

from shared.adapters.key_vault_errors import UNAVAILABLE
from shared.errors import TransientError

if TYPE_CHECKING:
    from collections.abc import Callable

    from azure.core.pipeline import PipelineResponse

_RETRIES = 2
_MAX_PAUSE = 5.0


class ShortRetries(RetryPolicy[Any, Any]):
    """Retries a request twice, unless the vault asks for a long wait.

    A caller cannot wait that long for the response.
    """

    def __init__(self) -> None:
        super().__init__(retry_total=_RETRIES)

    def is_retry(self, settings: dict[str, Any], response: PipelineResponse[Any, Any]) -> bool:
        """Return whether to repeat the request."""
        pause = self.get_retry_after(response)
        return (pause is None or pause <= _MAX_PAUSE) and bool(super().is_retry(settings, response))


def count_tries(tries: list[int]) -> Callable[[PipelineResponse[Any, Any]], None]:
    """Return a hook that counts the failed attempts before each response.

    The vault may have carried out one of these attempts.
    """
    return lambda response: tries.append(int(response.context.get("retry_count") or 0))


def check_page(response: PipelineResponse[Any, Any]) -> None:
    """Raise an error if the response to a list has no list.

    The SDK would take it for an empty list.
    """
    http_response = response.http_response
    if http_response.status_code == HTTPStatus.OK and "value" not in http_response.json():
        raise TransientError(UNAVAILABLE)
