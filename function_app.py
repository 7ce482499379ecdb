"""The functions of the app."""

import azure.functions as func

from shared.api.routes import blueprint as api
from shared.triggers import blueprint as triggers

app = func.FunctionApp()
for part in (api, triggers):
    app.register_functions(part)
