"""Messages between host and worker: pickled frames on a socket.

The genuine host speaks gRPC here; the content of the messages is the same.
"""

import asyncio
import pickle
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

LENGTH = struct.Struct("!Q")


class TypedData:
    """A tagged value, the protocol's `oneof data`: `TypedData(string="x")`."""

    def __init__(self, **tagged: Any) -> None:
        ((self.kind, self.value),) = tagged.items()
        setattr(self, self.kind, self.value)

    def WhichOneof(self, _group: str) -> str:  # noqa: N802 (the runtime's name for it)
        return self.kind


class Message(SimpleNamespace):
    """Any other message, with the few enum values that the runtime reads."""

    Failure, Success, Cancelled = 0, 1, 2  # StatusResult
    undefined, out, inout = 0, 1, 2  # BindingInfo
    SameSite = SimpleNamespace(Lax="Lax", Strict="Strict", ExplicitNone="None", **{"None": None})

    def WhichOneof(self, _group: str) -> str:  # noqa: N802 (asked of ParameterBinding only)
        return "data"


@dataclass(frozen=True)
class Function:
    """One indexed function, with the binding dictionaries that the host gets."""

    name: str
    id: str
    bindings: tuple[dict[str, Any], ...]

    @property
    def trigger(self) -> dict[str, Any]:
        return next(binding for binding in self.bindings if binding["type"].endswith("Trigger"))


@dataclass(frozen=True)
class Result:
    """The result of an invocation: an error text, or outputs by binding.

    `$return` is the name of the return value.
    """

    error: str | None
    outputs: Mapping[str, TypedData | None]


@dataclass(frozen=True)
class Indexed:
    """The worker's first message: the functions, or why there are none."""

    functions: tuple[Function, ...]
    error: str = ""


@dataclass(frozen=True)
class Invoke:
    """The host's request to run a function; `trace_parent` is W3C's."""

    invocation_id: str
    function_id: str
    trigger_name: str
    value: TypedData
    metadata: Mapping[str, TypedData]
    trace_parent: str


@dataclass(frozen=True)
class Invoked:
    """The worker's response to `Invoke`."""

    invocation_id: str
    result: Result


@dataclass(frozen=True)
class LogRecord:
    """A log record; the host drops one without an invocation."""

    invocation_id: str | None
    level: int
    text: str


def write(writer: asyncio.StreamWriter, message: object) -> None:
    """Send a message; several calls keep their order."""
    frame = pickle.dumps(message)
    writer.write(LENGTH.pack(len(frame)))
    writer.write(frame)


async def read(reader: asyncio.StreamReader) -> Any:
    """Receive the next message, or None at the end."""
    try:
        (length,) = LENGTH.unpack(await reader.readexactly(LENGTH.size))
        frame = await reader.readexactly(length)
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    return pickle.loads(frame)  # noqa: S301 (written by this host's own process)
