"""Drives Microsoft's azure-functions-runtime inside this process.

The runtime is a handful of coroutines, one for each message of the host protocol. It builds its replies
through a `protos` object given to it at the start, and plain classes do there: no gRPC, no protobuf.
Its state is global, hence one function app for each process.
"""

import json
import secrets
import sys
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import azure_functions_runtime as runtime


class TypedData:
    """One tagged value, as the protocol's `oneof data`: `TypedData(string="x")`."""

    def __init__(self, **tagged: Any) -> None:
        ((self.kind, self.value),) = tagged.items()
        setattr(self, self.kind, self.value)

    def WhichOneof(self, _group: str) -> str:  # noqa: N802 (the runtime's name for it)
        return self.kind


class Message(SimpleNamespace):
    """Any other message; it also carries the few enum values that the runtime reads."""

    Failure, Success, Cancelled = 0, 1, 2  # StatusResult
    undefined, out, inout = 0, 1, 2  # BindingInfo
    SameSite = SimpleNamespace(Lax="Lax", Strict="Strict", ExplicitNone="None", **{"None": None})

    def WhichOneof(self, _group: str) -> str:  # noqa: N802 (asked of ParameterBinding only)
        return "data"


MESSAGES = (
    "BindingInfo",
    "FunctionMetadataResponse",
    "InvocationResponse",
    "NullableBool",
    "NullableDouble",
    "NullableString",
    "NullableTimestamp",
    "ParameterBinding",
    "RpcException",
    "RpcFunctionMetadata",
    "RpcHttp",
    "RpcHttpCookie",
    "RpcRetryOptions",
    "StatusResult",
    "Timestamp",
    "WorkerInitResponse",
    "WorkerMetadata",
)
PROTOS = SimpleNamespace(TypedData=TypedData, **dict.fromkeys(MESSAGES, Message))


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
    """What an invocation left: a traceback, or its outputs by binding name (and `$return`)."""

    error: str | None
    outputs: dict[str, TypedData | None]


class IndexingError(RuntimeError):
    """The app could not be imported or holds nothing; the text is the runtime's traceback."""


class Worker:
    """Indexes one function app and runs its functions."""

    _taken = False

    def __init__(self, app_directory: Path) -> None:
        self.app_directory = app_directory.resolve()
        self.functions: dict[str, Function] = {}

    async def start(self) -> None:
        """Import `function_app.py` and list its functions.

        Raises:
            IndexingError: the import or the indexing failed, or no function was found.
        """
        if Worker._taken:
            raise IndexingError("The runtime's state is global: one function app for each process.")
        Worker._taken = True
        sys.path.insert(0, str(self.app_directory))
        runtime.start_threadpool_executor()
        reply = await _ask("worker_init_request", function_app_directory=str(self.app_directory))
        if reply.result.status != Message.Success:
            raise IndexingError(reply.result.exception.stack_trace)
        if "HttpUri" in reply.capabilities:
            raise IndexingError("HTTP streams (the http-fastapi extension) are not covered.")
        reply = await _ask("functions_metadata_request")
        for found in reply.function_metadata_results or []:
            bindings = tuple(json.loads(raw) for raw in found.raw_bindings)
            self.functions[found.name] = Function(found.name, found.function_id, bindings)
        if not self.functions:
            raise IndexingError(f"0 functions found in {self.app_directory}")

    async def invoke(
        self,
        function: Function,
        value: TypedData,
        metadata: dict[str, TypedData],
        *,
        invocation_id: str,
        trace_parent: str = "",
    ) -> Result:
        """Run a function with a trigger value; `trace_parent` is a W3C traceparent."""
        trace_parent = trace_parent or f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01"
        reply = await _ask(
            "invocation_request",
            invocation_id=invocation_id,
            function_id=function.id,
            input_data=[Message(name=function.trigger["name"], data=value)],
            trigger_metadata=metadata,
            trace_context=Message(trace_parent=trace_parent, trace_state="", attributes={}),
            retry_context=Message(retry_count=0, max_retry_count=0, exception=None),
        )
        if reply.result.status != Message.Success:
            return Result(reply.result.exception.stack_trace, {})
        outputs = {output.name: output.data for output in reply.output_data}
        return Result(None, outputs | {"$return": reply.return_value})

    def stop(self) -> None:
        """End the runtime's thread pool."""
        runtime.stop_threadpool_executor()


async def _ask(name: str, **fields: Any) -> Any:
    """Send one message to the runtime, in the envelope that it expects."""
    message = Message(**{name: Message(capabilities={}, **fields)})
    properties = {"protos": PROTOS, "host": "127.0.0.1"}
    return await getattr(runtime, name)(Message(request=message, properties=properties))
