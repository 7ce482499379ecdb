"""A small app that shows the behaviour of its host.

It echoes, responds as requested, logs, waits, fails and exits.
"""

import asyncio
import json
import logging
import os
import threading
import time
from datetime import UTC, datetime

import azure.functions as func

app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)
STORAGE = "AzureWebJobsStorage"
log = logging.getLogger("sample")


def _seen(req: func.HttpRequest) -> func.HttpResponse:
    body = req.get_body()
    seen = {
        "method": req.method,
        "url": req.url,
        "headers": dict(req.headers),
        "query": dict(req.params),
        "route": dict(req.route_params),
        "length": len(body),
        "body": body[:100].decode("latin-1"),
    }
    return func.HttpResponse(json.dumps(seen), mimetype="application/json")


@app.route(route="echo/{name?}")
def echo(req: func.HttpRequest) -> func.HttpResponse:
    """Respond with the request as it arrived."""
    return _seen(req)


@app.route(route="number/{id:int}/{*rest}")
def number(req: func.HttpRequest) -> func.HttpResponse:
    """Respond with the request where the route has a number."""
    return _seen(req)


@app.route(route="guid/{id:guid}", methods=["GET"])
def guid(req: func.HttpRequest) -> func.HttpResponse:
    """Respond with the id of the route."""
    return func.HttpResponse(json.dumps(dict(req.route_params)), mimetype="application/json")


@app.route(route="only-get", methods=["GET"])
async def only_get(req: func.HttpRequest) -> func.HttpResponse:
    """Respond to one verb."""
    return func.HttpResponse("ok")


@app.route(route="any")
def any_method(req: func.HttpRequest) -> func.HttpResponse:
    """Respond to every verb."""
    return func.HttpResponse("any")


@app.route(route="pair", methods=["GET"])
def pair_get(req: func.HttpRequest) -> func.HttpResponse:
    """Share a route with the next function."""
    return func.HttpResponse("get")


@app.route(route="pair", methods=["POST"])
def pair_post(req: func.HttpRequest) -> func.HttpResponse:
    """Share a route with the function before."""
    return func.HttpResponse("post")


@app.route(route="pair/{value}", methods=["GET"])
def pair_value(req: func.HttpRequest) -> func.HttpResponse:
    """Respond where the next function does not."""
    return func.HttpResponse("value " + req.route_params["value"])


@app.route(route="pair/literal", methods=["GET"])
def pair_literal(req: func.HttpRequest) -> func.HttpResponse:
    """Respond to the more specific of two routes."""
    return func.HttpResponse("literal")


@app.route(route="keyed", auth_level=func.AuthLevel.FUNCTION)
def keyed(req: func.HttpRequest) -> func.HttpResponse:
    """Respond to callers with a key."""
    return func.HttpResponse("with a key")


@app.route(route="admin/hidden")
def hidden(req: func.HttpRequest) -> func.HttpResponse:
    """Never run: the host reserves `admin`."""
    return func.HttpResponse("never seen")


@app.route(route="respond", methods=["POST"])
def respond(req: func.HttpRequest) -> func.HttpResponse:
    """Respond as the JSON of the body specifies."""
    wish = req.get_json()
    how = wish.get("how")
    if how == "raise":
        raise RuntimeError("a defect")
    if how:
        odd: dict[str, object] = {"none": None, "string": "text", "dict": {"a": 1}}
        return odd[how]  # type: ignore[return-value]
    body = bytes(number % 256 for number in range(wish["bytes"])) if "bytes" in wish else wish.get("body")
    response = func.HttpResponse(body, status_code=wish.get("status", 200), mimetype=wish.get("mimetype"))
    for name, value in wish.get("headers", ()):
        response.headers.add(name, value)
    return response


@app.route(route="cookies", methods=["POST"])
def cookies(req: func.HttpRequest) -> func.HttpResponse:
    """Set a cookie for each line of the body, by plain headers."""
    response = func.HttpResponse(status_code=200)
    for line in req.get_body().decode().splitlines():
        response.headers.add("Set-Cookie", line)
    return response


@app.route(route="wait")
def wait(req: func.HttpRequest) -> func.HttpResponse:
    """Hold a thread for some seconds."""
    time.sleep(float(req.params["seconds"]))
    return func.HttpResponse("waited")


@app.route(route="wait-async")
async def wait_async(req: func.HttpRequest) -> func.HttpResponse:
    """Wait for some seconds without a thread."""
    await asyncio.sleep(float(req.params["seconds"]))
    return func.HttpResponse("waited")


@app.route(route="process")
def process(req: func.HttpRequest) -> func.HttpResponse:
    """Return the id of the process that runs functions."""
    return func.HttpResponse(str(os.getpid()))


@app.route(route="die")
def die(req: func.HttpRequest) -> func.HttpResponse:
    """End the process in the middle of a call."""
    os._exit(3)


@app.route(route="say")
def say(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
    """Log at every level, on several lines, from a thread, and by `print`."""
    for level in (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR, logging.CRITICAL):
        log.log(level, 'said_level {"level": "%s"}', logging.getLevelName(level).lower())
    log.error("said_lines first\nsecond", extra={"mail": "m-1"})
    threading.Thread(target=log.error, args=("said_elsewhere",)).start()
    print("said_print")
    return func.HttpResponse(context.invocation_id)


@app.route(route="quiet")
async def quiet(req: func.HttpRequest) -> func.HttpResponse:
    """Log below and at the level that host.json has for this function."""
    log.warning("said_too_quietly")
    log.error("said_loudly")
    return func.HttpResponse("quiet")


@app.route(route="emit", methods=["POST"])
@app.queue_output(arg_name="out", queue_name="%RESULTS_QUEUE%", connection=STORAGE)
def emit(req: func.HttpRequest, out: func.Out[str]) -> func.HttpResponse:
    """Queue the body as it is."""
    out.set(req.get_body().decode())
    return func.HttpResponse(status_code=202)


def _report(name: str, message: func.QueueMessage) -> str:
    body = message.get_body()
    return json.dumps(
        {
            "function": name,
            "body": body[:80].decode("utf-8", "backslashreplace"),
            "length": len(body),
            "dequeue_count": message.dequeue_count,
            "id": message.id,
            "insertion_time": str(message.insertion_time),
            "process": os.getpid(),
            "ended": datetime.now(UTC).timestamp(),
        }
    )


@app.queue_trigger(arg_name="message", queue_name="%WORK_QUEUE%", connection=STORAGE)
@app.queue_output(arg_name="out", queue_name="%RESULTS_QUEUE%", connection=STORAGE)
def work(message: func.QueueMessage, out: func.Out[str]) -> None:
    """Report a message after its command: `fail`, `die` or `wait 1.5`."""
    text = message.get_body().decode()
    log.info("working on %s", text)
    if text == "fail":
        raise RuntimeError("the message requests a failure")
    if text == "die" and message.dequeue_count == 1:
        os._exit(4)
    if text.startswith("wait"):
        time.sleep(float(text.split()[1]))
    out.set(_report("work", message))


@app.queue_trigger(arg_name="message", queue_name="%WORK_QUEUE%-poison", connection=STORAGE)
@app.queue_output(arg_name="out", queue_name="%RESULTS_QUEUE%", connection=STORAGE)
def poison(message: func.QueueMessage, out: func.Out[str]) -> None:
    """Report a poisoned message."""
    if message.get_body() == b"fail as poison too":
        raise RuntimeError("the message requests a failure")
    out.set(_report("poison", message))


@app.queue_trigger(
    arg_name="message", queue_name="%BYTES_QUEUE%", connection=STORAGE, data_type=func.DataType.BINARY
)
@app.queue_output(arg_name="out", queue_name="%RESULTS_QUEUE%", connection=STORAGE)
def take_bytes(message: func.QueueMessage, out: func.Out[str]) -> None:
    """Report a message that the host hands over as bytes."""
    out.set(_report("bytes", message))


@app.timer_trigger(arg_name="timer", schedule="%TICK_SCHEDULE%")
@app.queue_output(arg_name="out", queue_name="%TICKS_QUEUE%", connection=STORAGE)
def tick(timer: func.TimerRequest, out: func.Out[str]) -> None:
    """Report a run of the timer."""
    log.info("ticked")
    out.set(
        json.dumps(
            {
                "past_due": timer.past_due,
                # The published type has less than the runtime hands over.
                "status": sorted(timer.schedule_status or {}),  # type: ignore[attr-defined]
                "schedule": timer.schedule,  # type: ignore[attr-defined]
                "at": time.time(),
            }
        )
    )
