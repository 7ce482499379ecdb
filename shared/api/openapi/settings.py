"""Describe the operations of the tenant settings API."""

from __future__ import annotations

from typing import Final

from shared.api.consent_models import CheckBody, ExaminationView
from shared.api.openapi.operation import IF_MATCH, DocumentedResponse, Operation
from shared.api.settings_models import EnableBody, SaveBody, SavedView, SettingsView, StartedConsentView

_PATH = "tenant-settings/smtp"
_ETAG = {"ETag": "The version of what the admins decided, for If-Match."}
_STARTED = DocumentedResponse(
    "A consent was started: open `startUrl` in a window, poll `statusUrl`.", StartedConsentView
)

READ: Final = Operation(
    "get_tenant_settings",
    "GET",
    _PATH,
    "Show the settings",
    "Tenant settings",
    {200: DocumentedResponse("The settings.", SettingsView, headers=_ETAG)},
)
ENABLE: Final = Operation(
    "enable_sending",
    "POST",
    f"{_PATH}/enable",
    "Start the consent for a From address",
    "Tenant settings",
    {202: _STARTED},
    parameters=(IF_MATCH,),
    body=EnableBody,
    problems={
        400: ("invalid_from_email_address", "invalid_request"),
        409: ("already_enabled", "application_sender_not_allowed", "large_file_attachments_locked"),
        412: ("settings_changed",),
    },
)
SAVE: Final = Operation(
    "save_tenant_settings",
    "PUT",
    _PATH,
    "Change the From address, or switch large file attachments on",
    "Tenant settings",
    {
        202: DocumentedResponse("A consent was started as with Enable, or no change was needed.", SavedView),
    },
    parameters=(IF_MATCH,),
    body=SaveBody,
    problems={
        400: ("invalid_from_email_address", "invalid_request"),
        409: ("application_sender_not_allowed", "large_file_attachments_locked", "not_configured"),
        412: ("settings_changed",),
    },
)
RESET: Final = Operation(
    "reset_tenant_settings",
    "POST",
    f"{_PATH}/reset",
    "Remove settings and tokens, and end a consent in progress",
    "Tenant settings",
    {204: DocumentedResponse("The settings are deleted, or there were none.")},
    parameters=(IF_MATCH,),
    problems={412: ("settings_changed",)},
)
CHECK: Final = Operation(
    "check_tenant_settings",
    "POST",
    f"{_PATH}/check",
    "Check everything that sending needs",
    "Tenant settings",
    {200: DocumentedResponse("The results of the checks.", ExaminationView)},
    body=CheckBody,
    body_required=False,
    problems={400: ("invalid_request",)},
)

OPERATIONS: Final = (READ, ENABLE, SAVE, RESET, CHECK)
