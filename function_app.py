"""Register the functions of the app from each folder of `shared/`."""

import azure.functions as func

from shared.api.consent_routes import blueprint as consent
from shared.api.delivery_routes import blueprint as deliveries
from shared.api.framework import blueprint as web
from shared.api.settings_routes import blueprint as settings
from shared.api.test_mail_routes import blueprint as trial
from shared.consent.triggers import blueprint as upkeep
from shared.triggers import blueprint as sending

app = func.FunctionApp()
for part in (settings, consent, upkeep, sending, trial, deliveries, web):
    app.register_functions(part)
