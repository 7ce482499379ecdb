"""Settings of `host.json` and the environment, with the host's defaults."""

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Self

TIME_SPAN = re.compile(r"(?:(\d+)\.)?(\d+):(\d+):(\d+(?:\.\d+)?)")
#: Outside the Consumption plan: https://learn.microsoft.com/azure/azure-functions/functions-host-json.
DEFAULT_TIMEOUT = "00:30:00"
OVERRIDE = "azurefunctionsjobhost__"


class HostSettingError(ValueError):
    """A setting is missing, invalid, or not supported by this host."""


@dataclass(frozen=True)
class QueueSettings:
    """`extensions.queues`; times in seconds."""

    batch_size: int = 16
    new_batch_threshold: int = 8
    max_dequeue_count: int = 5
    visibility_timeout: float = 0.0
    max_polling_interval: float = 60.0
    base64: bool = True

    @classmethod
    def read(cls, queues: Mapping[str, Any]) -> Self:
        """Read the settings from their object in host.json."""
        batch_size = int(queues.get("batchSize", 16))
        return cls(
            batch_size=batch_size,
            new_batch_threshold=int(queues.get("newBatchThreshold", batch_size // 2)),
            max_dequeue_count=int(queues.get("maxDequeueCount", 5)),
            visibility_timeout=parse_time_span(queues.get("visibilityTimeout", "00:00:00")).total_seconds(),
            max_polling_interval=parse_time_span(
                queues.get("maxPollingInterval", "00:01:00")
            ).total_seconds(),
            base64=queues.get("messageEncoding", "base64").lower() == "base64",
        )


@dataclass(frozen=True)
class HostSettings:
    """The parts of host.json that this host follows.

    Attributes:
        hsts: the Strict-Transport-Security header; empty where it is off.
        timeout: seconds that an invocation may take; None means for ever.
        log_levels: level names by category, such as `{"Function": "Information"}`.
    """

    route_prefix: str
    custom_headers: dict[str, str]
    hsts: str
    queues: QueueSettings
    timeout: float | None
    log_levels: dict[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, app_directory: Path, environment: Mapping[str, str]) -> Self:
        """Read host.json with its `AzureFunctionsJobHost__…` overrides.

        https://learn.microsoft.com/azure/azure-functions/functions-host-json#override-hostjson-values

        Raises:
            HostSettingError: there is none, or a value makes no sense.
        """
        path = app_directory / "host.json"
        if not path.exists():
            raise HostSettingError(f"There is no host.json in {app_directory}.")
        content = json.loads(path.read_text("utf-8-sig"))
        for name, value in environment.items():
            if name.casefold().startswith(OVERRIDE):
                _override(content, name[len(OVERRIDE) :].split("__"), value)
        extensions = content.get("extensions", {})
        http = extensions.get("http", {})
        timeout = content.get("functionTimeout", DEFAULT_TIMEOUT)
        return cls(
            route_prefix=http.get("routePrefix", "api"),
            custom_headers=http.get("customHeaders", {}),
            hsts=_hsts(http.get("hsts", {})),
            queues=QueueSettings.read(extensions.get("queues", {})),
            timeout=None if timeout == "-1" else parse_time_span(timeout).total_seconds(),
            log_levels=content.get("logging", {}).get("logLevel", {}),
        )


def parse_time_span(text: str) -> timedelta:
    """Read a .NET TimeSpan: `[days.]hours:minutes:seconds`, or only days.

    https://learn.microsoft.com/dotnet/standard/base-types/standard-timespan-format-strings

    Raises:
        HostSettingError: it is none.
    """
    if text.isdecimal():
        return timedelta(days=int(text))
    found = TIME_SPAN.fullmatch(text)
    if found is None:
        raise HostSettingError(f"{text!r} is no time span.")
    days, hours, minutes, seconds = found.groups(default="0")
    return timedelta(days=int(days), hours=int(hours), minutes=int(minutes), seconds=float(seconds))


def resolve(text: str) -> str:
    """Put the settings of the environment in place of each `%NAME%`.

    Raises:
        HostSettingError: a setting is missing.
    """

    def setting(found: re.Match[str]) -> str:
        try:
            return os.environ[found[1]]
        except KeyError:
            raise HostSettingError(f"The setting {found[1]} is missing.") from None

    return re.sub("%(.+?)%", setting, text)


def _override(content: dict[str, Any], path: list[str], value: str) -> None:
    """Set one value of host.json; names are not case-sensitive, as in .NET."""
    for step in path[:-1]:
        content = content.setdefault(_known(content, step), {})
    content[_known(content, path[-1])] = value


def _known(content: Mapping[str, Any], name: str) -> str:
    return next((known for known in content if known.casefold() == name.casefold()), name)


def _hsts(hsts: Mapping[str, Any]) -> str:
    if str(hsts.get("isEnabled", False)).casefold() != "true":
        return ""
    seconds = int(parse_time_span(hsts.get("maxAge", "30")).total_seconds())
    flags = (("includeSubDomains", "; includeSubDomains"), ("preload", "; preload"))
    return f"max-age={seconds}" + "".join(text for name, text in flags if hsts.get(name))
