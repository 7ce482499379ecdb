"""Register the routes of the delivery log."""

from __future__ import annotations

import azure.functions as func

from shared.web.endpoints import admin

blueprint = func.Blueprint()


@blueprint.route("deliveries", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
def list_deliveries(req: func.HttpRequest) -> func.HttpResponse:
    """List mails, newest first."""
    from shared.deliveries import journey, operations

    return admin(req, operations.LIST, journey.list_deliveries)


@blueprint.route("deliveries/{message_id}", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
def get_delivery(req: func.HttpRequest) -> func.HttpResponse:
    """Show one mail with its history."""
    from shared.deliveries import journey, operations

    return admin(req, operations.READ, journey.read_delivery)


@blueprint.route("deliveries/{message_id}/retry", methods=["POST"], auth_level=func.AuthLevel.ANONYMOUS)
def retry_delivery(req: func.HttpRequest) -> func.HttpResponse:
    """Retry a mail that was not sent."""
    from shared.deliveries import operations, retry

    return admin(req, operations.RETRY, retry.retry_delivery)


@blueprint.route("deliveries/retry", methods=["POST"], auth_level=func.AuthLevel.ANONYMOUS)
def retry_deliveries(req: func.HttpRequest) -> func.HttpResponse:
    """Retry many mails that were not sent."""
    from shared.deliveries import operations, retry_many

    return admin(req, operations.RETRY_MANY, retry_many.retry_deliveries)
