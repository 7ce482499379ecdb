"""An app that logs every event, also with values that could break a line."""

import azure.functions as func

from shared.telemetry import Event, log_event, log_failure

app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)
#: Line breaks of every kind, what looks like an event, and more than a field holds.
HOSTILE = 'first\nsecond\r\u2028\u0085 mail_accepted {"x": 1} ' + "ü" * 400
LONG_TRACE = "x" * 20_000


@app.route(route="write-events", methods=["POST"])
def write_events(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
    """Write each event once and respond with the id of the invocation."""
    for place, event in enumerate(Event):
        if event is Event.UNEXPECTED_ERROR:
            log_failure(RuntimeError(LONG_TRACE), place=place, text=HOSTILE)
        else:
            log_event(event, place=place, text=HOSTILE)
    return func.HttpResponse(context.invocation_id)
