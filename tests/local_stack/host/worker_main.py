"""The worker process, which drives Microsoft's azure-functions-runtime.

The runtime is a handful of coroutines, one for each message of the host protocol. It builds its replies
through a `protos` object given to it at the start; plain classes suffice there: no gRPC, no protobuf.
"""

import asyncio
import json
import logging
import os
import signal
import socket
import sys
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import azure_functions_runtime as runtime
from azure_functions_runtime.utils.executor import invocation_id_cv

from tests.local_stack.host.messages import (
    Function,
    Indexed,
    Invoke,
    Invoked,
    LogRecord,
    Message,
    Result,
    TypedData,
    read,
    write,
)

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
#: What the runtime logs about itself is not the app's log.
RUNTIME_LOGGERS = ("azure.functions", "azure_functions")


class LogForwarder(logging.Handler):
    """A handler that sends each log record to the host from any thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop, writer: asyncio.StreamWriter) -> None:
        super().__init__()
        self._loop = loop
        self._loop_thread = threading.get_ident()
        self._writer = writer

    def emit(self, record: logging.LogRecord) -> None:
        """Send a record with its trace before the result of its invocation."""
        if record.name.startswith(RUNTIME_LOGGERS):
            return
        message = LogRecord(invocation_id_cv.get(), record.levelno, self.format(record))
        if threading.get_ident() == self._loop_thread:
            write(self._writer, message)
        else:
            self._loop.call_soon_threadsafe(write, self._writer, message)


async def serve(app_directory: Path, channel: socket.socket) -> None:
    """Index the app, then run its functions until the host closes the channel."""
    reader, writer = await asyncio.open_connection(sock=channel)
    logging.getLogger().addHandler(LogForwarder(asyncio.get_running_loop(), writer))
    logging.getLogger().setLevel(logging.INFO)
    runtime.start_threadpool_executor()
    write(writer, await index(app_directory))
    running: set[asyncio.Task[None]] = set()
    while (message := await read(reader)) is not None:
        task = asyncio.create_task(run_invocation(writer, message))
        running.add(task)
        task.add_done_callback(running.discard)


async def index(app_directory: Path) -> Indexed:
    """Import `function_app.py` and list its functions, or print the failure."""
    reply = await request("worker_init_request", function_app_directory=str(app_directory))
    if reply.result.status != Message.Success:
        print(reply.result.exception.stack_trace, flush=True)
        return Indexed((), reply.result.exception.message)
    if "HttpUri" in reply.capabilities:
        return Indexed((), "HTTP streams (the http-fastapi extension) are not covered.")
    reply = await request("functions_metadata_request")
    found = reply.function_metadata_results or []
    return Indexed(
        tuple(
            Function(each.name, each.function_id, tuple(map(json.loads, each.raw_bindings))) for each in found
        )
    )


async def run_invocation(writer: asyncio.StreamWriter, call: Invoke) -> None:
    """Run a function and send its result."""
    # The runtime sets this variable for its thread pool only; async handlers' log records need it too.
    invocation_id_cv.set(call.invocation_id)
    reply = await request(
        "invocation_request",
        invocation_id=call.invocation_id,
        function_id=call.function_id,
        input_data=[Message(name=call.trigger_name, data=call.value)],
        trigger_metadata=call.metadata,
        trace_context=Message(trace_parent=call.trace_parent, trace_state="", attributes={}),
        retry_context=Message(retry_count=0, max_retry_count=0, exception=None),
    )
    if reply.result.status == Message.Success:
        outputs = {output.name: output.data for output in reply.output_data}
        result = Result(None, outputs | {"$return": reply.return_value})
    else:
        error = reply.result.exception
        result = Result(f"Result: Failure\nException: {error.message}\nStack: {error.stack_trace}", {})
    write(writer, Invoked(call.invocation_id, result))
    await writer.drain()


async def request(name: str, **fields: Any) -> Any:
    """Send one message to the runtime, in the envelope that it expects."""
    message = Message(**{name: Message(capabilities={}, **fields)})
    properties = {"protos": PROTOS, "host": "127.0.0.1"}
    return await getattr(runtime, name)(Message(request=message, properties=properties))


def main(app_directory: Path, channel: int) -> None:
    """Serve an app to the host at the other end of an inherited socket."""
    # Ctrl-C reaches the whole process group; it is the host that decides when its worker ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.chdir(app_directory)
    sys.path.insert(0, str(app_directory))
    asyncio.run(serve(app_directory, socket.socket(fileno=channel)))
    # Threads of functions that still run don't keep a worker alive whose host is gone.
    os._exit(0)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
