#!/usr/bin/env bash
# Wait until a mail has a final status, and print the delivery as JSON, with the Azure CLI and curl.
#
#   az login --identity     (or --service-principal; the token of a person is not accepted)
#   export MAIL_API_URL=https://<app>.azurewebsites.net
#   export MAIL_API_CLIENT_ID=<client id of the installation's app registration>
#   bash read-delivery.sh sales-weekly:2026-11-23:emea
#
# The identity needs the app role Deliveries.Read. On the local stack, where the CLI cannot sign in, export
# MAIL_API_TOKEN. Exits with 0 for an accepted mail, 1 for any other final status, 2 if there is none within ten minutes.
set -euo pipefail

message_id=$1
token=${MAIL_API_TOKEN:-$(az account get-access-token --scope "$MAIL_API_CLIENT_ID/.default" --query accessToken --output tsv)}

for _ in $(seq 120); do
  # The token is passed by standard input, because other users of the machine can read a command line.
  response=$(printf 'header = "Authorization: Bearer %s"\n' "$token" |
    curl --silent --show-error --max-time 30 --config - --write-out '\n%{http_code}' "$MAIL_API_URL/api/deliveries/$message_id")
  delivery=${response%$'\n'*} code=${response##*$'\n'}
  case $code in
    200) ;;
    404) sleep 5 && continue ;; # the app has not taken the message from the queue yet
    *) printf '%s %s\n' "$code" "$delivery" >&2 && exit 1 ;; # a problem document: the error, and who must act
  esac
  status=$(printf %s "$delivery" | python3 -c 'import json, sys; print(json.load(sys.stdin)["status"])')
  case $status in
    accepted) printf '%s\n' "$delivery" && exit 0 ;;
    rejected | invalid | expired | unknown) printf '%s\n' "$delivery" && exit 1 ;;
    *) sleep 5 ;;
  esac
done
echo "$message_id has no final status after ten minutes, or is no mail of this tenant" >&2
exit 2
