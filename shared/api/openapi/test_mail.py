"""Describe the operation that queues a test mail."""

from __future__ import annotations

from typing import Final

from shared.api.openapi.operation import DocumentedResponse, Operation
from shared.api.test_mail import QueuedMailView, TestMailBody

TEST_MAIL: Final = Operation(
    "send_test_mail",
    "POST",
    "tenant-settings/smtp/test-mail",
    "Send a test mail, by default to the caller",
    "Tenant settings",
    {202: DocumentedResponse("The mail is queued: `deliveryUrl` returns its status.", QueuedMailView)},
    body=TestMailBody,
    body_required=False,
    problems={
        400: ("invalid_request",),
        409: (
            "account_unusable",
            "admin_approval_needed",
            "consent_lost",
            "consent_missing",
            "sign_in_blocked",
        ),
        500: (
            "app_registration_wrong",
            "application_sender_not_allowed",
            "client_credential_refused",
            "key_vault_denied",
        ),
    },
)

OPERATIONS: Final = (TEST_MAIL,)
