"""Register the functions of the app from each folder of `shared/`."""

import azure.functions as func

from shared.consent.endpoints import blueprint as consent
from shared.consent.triggers import blueprint as upkeep
from shared.deliveries.endpoints import blueprint as deliveries
from shared.sending.endpoints import blueprint as trial
from shared.sending.triggers import blueprint as sending
from shared.settings.endpoints import blueprint as settings
from shared.web.endpoints import blueprint as web

app = func.FunctionApp()
for part in (settings, consent, upkeep, sending, trial, deliveries, web):
    app.register_functions(part)
