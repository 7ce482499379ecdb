"""Register the routes of the Tenant Settings page."""

from __future__ import annotations

import azure.functions as func

from shared.api.framework import admin

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
