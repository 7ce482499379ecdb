#!/usr/bin/env bash
# Upload a report and queue a mail with it as attachment, using only HTTP.
#
#   export MAIL_QUEUE_ENDPOINT=https://<account>.queue.core.windows.net
#   export MAIL_BLOB_ENDPOINT=https://<account>.blob.core.windows.net
#   export MAIL_TENANT_ID=<tenant>
#   export MAIL_ACCESS_TOKEN=$(az account get-access-token --resource https://storage.azure.com --query accessToken -o tsv)
#   bash queue-mail-rest.sh sales-weekly:2026-11-23:emea cfo@contoso.com report.pdf
#
# Running it again with the same message id and report sends no second mail. It prints the message id.
set -euo pipefail

message_id=$1 recipient=$2 report=$3
tenant_id=$(printf %s "$MAIL_TENANT_ID" | tr '[:upper:]' '[:lower:]')

# Storage refuses a token without a version. --retry repeats 408, 429, 5xx and broken connections. The response to
# a refused request is written to standard error.
call() {
  curl --silent --show-error --globoff --fail-with-body --retry 5 --retry-connrefused \
    --header "Authorization: Bearer $MAIL_ACCESS_TOKEN" --header "x-ms-version: 2024-11-04" "$@" >&2
}

# The path is derived from the content: the same report always has the same path, and no report replaces another.
path=$tenant_id/$(openssl dgst -sha256 -r "$report" | cut -d ' ' -f 1).pdf
call --request PUT "$MAIL_BLOB_ENDPOINT/attachments/$path" --header "x-ms-blob-type: BlockBlob" \
  --header "Content-Type: application/pdf" --upload-file "$report"

expires_at=$(python3 -c 'from datetime import *; print((datetime.now(timezone.utc) + timedelta(days=1)).isoformat())')
message=$(
  cat <<JSON
{"schemaVersion": 1, "messageId": "$message_id", "tenantId": "$tenant_id", "to": ["$recipient"],
 "subject": "Weekly sales, EMEA", "expiresAt": "$expires_at",
 "body": {"contentType": "html", "content": "<p>Grüße, the report is attached.</p>"},
 ${MAIL_OUTCOME_QUEUE:+"\"outcomeQueue\": \"$MAIL_OUTCOME_QUEUE\","}
 "attachments": [{"name": "report.pdf", "contentType": "application/pdf", "blob": "$path"}]}
JSON
)
# In base64 the message needs no escaping inside XML. messagettl=-1: it never expires in the queue.
encoded=$(printf %s "$message" | openssl base64 -A)
call --request POST "$MAIL_QUEUE_ENDPOINT/mail-outbox/messages?messagettl=-1" \
  --header "Content-Type: application/xml" \
  --data "<QueueMessage><MessageText>$encoded</MessageText></QueueMessage>"
echo "$message_id"
