"""Register the routes of a consent."""

from __future__ import annotations

import azure.functions as func

from shared.api.framework import admin, public

blueprint = func.Blueprint()


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
    """Handle the decision of a person who signed in for another one."""
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
