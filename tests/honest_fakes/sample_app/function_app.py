"""A small app that shows what the host does: it echoes, sets cookies, logs, waits, fails."""

import asyncio
import json
import logging

import azure.functions as func

app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)
log = logging.getLogger("sample")


@app.route(route="echo/{id:int}/{*rest}")
def echo(req: func.HttpRequest) -> func.HttpResponse:
    """Answer with what arrived."""
    seen = {
        "method": req.method,
        "url": req.url,
        "headers": dict(req.headers),
        "query": dict(req.params),
        "route": dict(req.route_params),
        "body": req.get_body().decode(),
    }
    return func.HttpResponse(json.dumps(seen), mimetype="application/json")


@app.route(route="only-get", methods=["GET"])
async def only_get(req: func.HttpRequest) -> func.HttpResponse:
    """Answer one verb."""
    return func.HttpResponse("ok")


@app.route(route="cookies")
def cookies(req: func.HttpRequest) -> func.HttpResponse:
    """Set two cookies by plain headers."""
    response = func.HttpResponse(status_code=302, headers={"Location": "https://elsewhere.example/"})
    response.headers.add("Set-Cookie", "__Host-flow=a+b/c=; Path=/; Secure; HttpOnly; SameSite=None")
    response.headers.add(
        "Set-Cookie", "plain=1; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT; SameSite=Lax"
    )
    return response


@app.route(route="fail")
def fail(req: func.HttpRequest) -> func.HttpResponse:
    """Fail as a defect does."""
    raise RuntimeError("a defect")


@app.route(route="slow")
async def slow(req: func.HttpRequest) -> func.HttpResponse:
    """Take longer than the function timeout."""
    await asyncio.sleep(60)
    return func.HttpResponse("late")


@app.route(route="quiet")
def quiet(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
    """Log below and at the level of its category."""
    log.warning("too quiet to be seen")
    log.error("loud enough", extra={"mail": "m-1"})
    return func.HttpResponse(context.invocation_id)


@app.route(route="split")
@app.queue_output(arg_name="out", queue_name="split-results", connection="AzureWebJobsStorage")
def split(req: func.HttpRequest, out: func.Out[str]) -> func.HttpResponse:
    """Queue the body as it is."""
    out.set(req.get_body().decode())
    return func.HttpResponse(status_code=202)


@app.queue_trigger(arg_name="message", queue_name="%WORK_QUEUE%", connection="AzureWebJobsStorage")
@app.queue_output(arg_name="out", queue_name="work-results", connection="AzureWebJobsStorage")
async def work(message: func.QueueMessage, out: func.Out[str]) -> None:
    """Copy a message, or do what it asks: fail, or wait a second."""
    text = message.get_body().decode()
    log.info("working on %s", text)
    if text == "fail":
        raise RuntimeError("asked to fail")
    if text == "wait":
        await asyncio.sleep(1)
    out.set(f"{text}, try {message.dequeue_count}")


@app.timer_trigger(arg_name="timer", schedule="%TICK_SCHEDULE%")
@app.queue_output(arg_name="out", queue_name="tick-results", connection="AzureWebJobsStorage")
def tick(timer: func.TimerRequest, out: func.Out[str]) -> None:
    """Note that it ran."""
    out.set(f"past due: {timer.past_due}")
