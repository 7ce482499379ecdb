"""Register the route for test mails."""

from __future__ import annotations

import azure.functions as func

from shared.web.endpoints import admin

blueprint = func.Blueprint()


@blueprint.route("tenant-settings/smtp/test-mail", methods=["POST"], auth_level=func.AuthLevel.ANONYMOUS)
def send_test_mail(req: func.HttpRequest) -> func.HttpResponse:
    """Queue a test mail."""
    from shared.sending import operations, test_mail

    return admin(req, operations.TEST_MAIL, test_mail.send_test_mail)
