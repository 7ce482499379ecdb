"""Register the route for test mails."""

from __future__ import annotations

import azure.functions as func

from shared.api.framework import admin

blueprint = func.Blueprint()


@blueprint.route("tenant-settings/smtp/test-mail", methods=["POST"], auth_level=func.AuthLevel.ANONYMOUS)
def send_test_mail(req: func.HttpRequest) -> func.HttpResponse:
    """Queue a test mail."""
    from shared.api import test_mail
    from shared.api.openapi import test_mail as operations

    return admin(req, operations.TEST_MAIL, test_mail.send_test_mail)
