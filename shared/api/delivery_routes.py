"""Register the routes of the delivery log."""

from __future__ import annotations

import azure.functions as func

from shared.api.framework import admin

blueprint = func.Blueprint()


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
    from shared.api.openapi import deliveries as operations
    from shared.deliveries import retry

    return admin(req, operations.RETRY, retry.retry_delivery)


@blueprint.route("deliveries/retry", methods=["POST"], auth_level=func.AuthLevel.ANONYMOUS)
def retry_deliveries(req: func.HttpRequest) -> func.HttpResponse:
    """Retry many mails that were not sent."""
    from shared.api import retry_many
    from shared.api.openapi import deliveries as operations

    return admin(req, operations.RETRY_MANY, retry_many.retry_deliveries)
