"""How requests to Key Vault are repeated, and what is read of an answer before the SDK reads it."""

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
_LONGEST_PAUSE = 5.0


class ShortRetries(RetryPolicy[Any, Any]):
    """Repeats a request twice, unless the vault asks for a longer pause than a waiting caller can take."""

    def __init__(self) -> None:
        super().__init__(retry_total=_RETRIES)

    def is_retry(self, settings: dict[str, Any], response: PipelineResponse[Any, Any]) -> bool:
        """Say whether to send the request again."""
        pause = self.get_retry_after(response)
        return (pause is None or pause <= _LONGEST_PAUSE) and bool(super().is_retry(settings, response))


def count_tries(tries: list[int]) -> Callable[[PipelineResponse[Any, Any]], None]:
    """Note for each answer how many requests before it failed: one may have been carried out all the same."""
    return lambda response: tries.append(int(response.context.get("retry_count") or 0))


def check_page(response: PipelineResponse[Any, Any]) -> None:
    """Raise where a list lacks its items, which the SDK takes for an empty one."""
    answer = response.http_response
    if answer.status_code == HTTPStatus.OK and "value" not in answer.json():
        raise TransientError(UNAVAILABLE)
