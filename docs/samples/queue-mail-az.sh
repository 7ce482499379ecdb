#!/usr/bin/env bash
# Upload a report and queue a mail with it as attachment, with the Azure CLI.
#
#   az login
#   export MAIL_STORAGE_ACCOUNT=<account>
#   export MAIL_TENANT_ID=<tenant>
#   bash queue-mail-az.sh sales-weekly:2026-11-23:emea cfo@contoso.com report.pdf
#
# On the local stack, where the CLI cannot sign in: export AZURE_STORAGE_CONNECTION_STRING instead of the account.
# Running it again with the same message id and report sends no second mail. It prints the message id.
set -euo pipefail

message_id=$1 recipient=$2 report=$3
tenant_id=$(printf %s "$MAIL_TENANT_ID" | tr '[:upper:]' '[:lower:]')
if [ -n "${AZURE_STORAGE_CONNECTION_STRING:-}" ]; then
  account=(--connection-string "$AZURE_STORAGE_CONNECTION_STRING")
else
  account=(--auth-mode login --account-name "$MAIL_STORAGE_ACCOUNT")
fi

# Retry temporary failures; the CLI retries only some of them.
try() {
  local wait
  for wait in 2 4 8; do
    "$@" && return
    sleep "$wait"
  done
  "$@"
}

# The path is derived from the content: the same report always has the same path, and no report replaces another.
digest=$(openssl dgst -sha256 -r "$report" | cut -d ' ' -f 1)
path=$tenant_id/$digest.pdf
try az storage blob upload "${account[@]}" --only-show-errors --output none --overwrite --no-progress \
  --container-name attachments --name "$path" --file "$report" --content-type application/pdf

# Python writes the JSON, because quoting it in a shell is error-prone; the CLI needs Python anyway.
message=$(
  python3 - "$message_id" "$tenant_id" "$recipient" "$(basename "$report")" "$path" <<'PYTHON'
import json, os, sys
from datetime import datetime, timedelta, timezone

message_id, tenant_id, recipient, name, path = sys.argv[1:]
print(json.dumps({
    "schemaVersion": 1,
    # Derived from schedule, due time and audience, never random: a second run must use the same id.
    "messageId": message_id,
    "tenantId": tenant_id,
    "to": [recipient],
    "subject": "Weekly sales, EMEA",
    "body": {"contentType": "html", "content": "<p>Gr\u00fc\u00dfe, the report is attached.</p>"},
    "attachments": [{"name": name, "contentType": "application/pdf", "blob": path}],
    "expiresAt": (datetime.now(timezone.utc) + timedelta(days=1)).isoformat(),
    # Null if no program reads the outcome.
    "outcomeQueue": os.environ.get("MAIL_OUTCOME_QUEUE"),
}))
PYTHON
)
# -1: the message never expires in the queue.
try az storage message put "${account[@]}" --only-show-errors --output none \
  --queue-name mail-outbox --time-to-live -1 --content "$message"
echo "$message_id"
