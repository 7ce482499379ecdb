"""Register every HTTP route."""

from __future__ import annotations

import azure.functions as func

from shared.api.framework import admin, public
from shared.version import VERSION

blueprint = func.Blueprint()


@blueprint.route("tenant-settings/smtp", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
def get_tenant_settings(req: func.HttpRequest) -> func.HttpResponse:
    """Show the settings."""
    from shared.api import settings as settings_api
    from shared.api.openapi import settings as operations

    return admin(req, operations.READ, settings_api.read)


@blueprint.route("tenant-settings/smtp/enable", methods=["POST"], auth_level=func.AuthLevel.ANONYMOUS)
def enable_sending(req: func.HttpRequest) -> func.HttpResponse:
    """Start the consent for a From address."""
    from shared.api import settings as settings_api
    from shared.api.openapi import settings as operations

    return admin(req, operations.ENABLE, settings_api.enable)


@blueprint.route("tenant-settings/smtp", methods=["PUT"], auth_level=func.AuthLevel.ANONYMOUS)
def save_tenant_settings(req: func.HttpRequest) -> func.HttpResponse:
    """Start the consent for changed settings."""
    from shared.api import settings as settings_api
    from shared.api.openapi import settings as operations

    return admin(req, operations.SAVE, settings_api.save)


@blueprint.route("tenant-settings/smtp/reset", methods=["POST"], auth_level=func.AuthLevel.ANONYMOUS)
def reset_tenant_settings(req: func.HttpRequest) -> func.HttpResponse:
    """Remove settings and tokens."""
    from shared.api import settings as settings_api
    from shared.api.openapi import settings as operations

    return admin(req, operations.RESET, settings_api.reset_settings)


@blueprint.route("consent/{flow_id:guid}/start", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
def show_consent_start(req: func.HttpRequest) -> func.HttpResponse:
    """Show the page that posts the ticket."""
    from shared.api import consent as consent_api
    from shared.api.openapi import consent as operations

    return public(req, operations.START_PAGE, consent_api.show_start)


@blueprint.route("consent/{flow_id:guid}/start", methods=["POST"], auth_level=func.AuthLevel.ANONYMOUS)
def start_consent(req: func.HttpRequest) -> func.HttpResponse:
    """Redirect the admin's browser to Microsoft."""
    from shared.api import consent as consent_api
    from shared.api.openapi import consent as operations

    return public(req, operations.START, consent_api.start)


@blueprint.route("consent/callback", methods=["POST"], auth_level=func.AuthLevel.ANONYMOUS)
def finish_consent(req: func.HttpRequest) -> func.HttpResponse:
    """Handle Microsoft's callback for a sign-in."""
    from shared.api import consent as consent_api
    from shared.api.openapi import consent as operations

    return public(req, operations.CALLBACK, consent_api.finish)


@blueprint.route("consent/callback", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
def finish_admin_consent(req: func.HttpRequest) -> func.HttpResponse:
    """Handle Microsoft's callback for an admin's consent for the app itself."""
    from shared.api import consent as consent_api
    from shared.api.openapi import consent as operations

    return public(req, operations.ADMIN_CONSENT_CALLBACK, consent_api.finish_admin_consent)


@blueprint.route("consent/{flow_id:guid}/decision", methods=["POST"], auth_level=func.AuthLevel.ANONYMOUS)
def decide_consent(req: func.HttpRequest) -> func.HttpResponse:
    """Handle the confirmation of a person who signed in for another one."""
    from shared.api import consent as consent_api
    from shared.api.openapi import consent as operations

    return public(req, operations.DECISION, consent_api.decide)


@blueprint.route("consent/result", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
def show_consent_result(req: func.HttpRequest) -> func.HttpResponse:
    """Show the person the result."""
    from shared.api import consent as consent_api
    from shared.api.openapi import consent as operations

    return public(req, operations.RESULT, consent_api.result)


@blueprint.route("tenant-settings/smtp/check", methods=["POST"], auth_level=func.AuthLevel.ANONYMOUS)
def check_tenant_settings(req: func.HttpRequest) -> func.HttpResponse:
    """Check everything that sending needs."""
    from shared.api import consent as consent_api
    from shared.api.openapi import settings as operations

    return admin(req, operations.CHECK, consent_api.check)


@blueprint.route("consent/{flow_id:guid}", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
def get_consent(req: func.HttpRequest) -> func.HttpResponse:
    """Return the state of a consent to the settings page."""
    from shared.api import consent as consent_api
    from shared.api.openapi import consent as operations

    return admin(req, operations.STATUS, consent_api.read_flow)


@blueprint.route("deliveries", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
def list_deliveries(req: func.HttpRequest) -> func.HttpResponse:
    """List mails, newest first."""
    from shared.api import deliveries as deliveries_api
    from shared.api.openapi import deliveries as operations

    return admin(req, operations.LIST, deliveries_api.list_deliveries)


@blueprint.route("deliveries/{message_id}", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
def get_delivery(req: func.HttpRequest) -> func.HttpResponse:
    """Show one mail with its history."""
    from shared.api import deliveries as deliveries_api
    from shared.api.openapi import deliveries as operations

    return admin(req, operations.READ, deliveries_api.read_delivery)


@blueprint.route("deliveries/{message_id}/retry", methods=["POST"], auth_level=func.AuthLevel.ANONYMOUS)
def retry_delivery(req: func.HttpRequest) -> func.HttpResponse:
    """Retry a mail that was not sent."""
    from shared.api import deliveries as deliveries_api
    from shared.api.openapi import deliveries as operations

    return admin(req, operations.RETRY, deliveries_api.retry_delivery)


@blueprint.route("deliveries/retry", methods=["POST"], auth_level=func.AuthLevel.ANONYMOUS)
def retry_deliveries(req: func.HttpRequest) -> func.HttpResponse:
    """Retry many mails that were not sent."""
    from shared.api import retry_many
    from shared.api.openapi import deliveries as operations

    return admin(req, operations.RETRY_MANY, retry_many.retry_deliveries)


@blueprint.route("tenant-settings/smtp/test-mail", methods=["POST"], auth_level=func.AuthLevel.ANONYMOUS)
def send_test_mail(req: func.HttpRequest) -> func.HttpResponse:
    """Queue a test mail."""
    from shared.api import test_mail
    from shared.api.openapi import test_mail as operations

    return admin(req, operations.TEST_MAIL, test_mail.send_test_mail)


@blueprint.route("health", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
def get_health(req: func.HttpRequest) -> func.HttpResponse:
    """Return that the app is running."""
    from shared.api.openapi import health as operations
    from shared.api.request import json_response

    content = {"status": "alive", "version": VERSION}
    return public(req, operations.HEALTH, lambda _request, _services: json_response(200, content))


@blueprint.route("openapi.json", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
def get_openapi(req: func.HttpRequest) -> func.HttpResponse:
    """Return the OpenAPI document."""
    from shared.api.openapi import health as operations
    from shared.api.openapi.document import document_text
    from shared.api.request import Response

    headers = {"Content-Type": "application/json"}
    return public(
        req, operations.OPENAPI, lambda _request, _services: Response(200, document_text(), headers)
    )


@blueprint.route("health/ready", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
def get_readiness(req: func.HttpRequest) -> func.HttpResponse:
    """Return whether every part of the app responds."""
    from shared.api.health import read_readiness
    from shared.api.openapi import health as operations

    return admin(req, operations.READINESS, read_readiness)
