#!/usr/bin/env bash
# Wait until a mail came to its end, and print the delivery as JSON, with the Azure CLI and curl.
#
#   az login --identity     (or --service-principal: a person's token is that of no application)
#   export MAIL_API_URL=https://<app>.azurewebsites.net
#   export MAIL_API_CLIENT_ID=<client id of the installation's app registration>
#   bash read-delivery.sh sales-weekly:2026-11-23:emea
#
# The identity needs the app role Deliveries.Read. On the local stack, where the CLI has nobody to sign in, export
# MAIL_API_TOKEN. Ends with 0 for an accepted mail, 1 for any other end, 2 for a mail that has not ended within ten minutes.
set -euo pipefail

message_id=$1
token=${MAIL_API_TOKEN:-$(az account get-access-token --scope "$MAIL_API_CLIENT_ID/.default" --query accessToken --output tsv)}

for _ in $(seq 120); do
  # The token goes in by standard input: a command line can be read by other users of the machine.
  answer=$(printf 'header = "Authorization: Bearer %s"\n' "$token" |
    curl --silent --show-error --max-time 30 --config - --write-out '\n%{http_code}' "$MAIL_API_URL/api/deliveries/$message_id")
  delivery=${answer%$'\n'*} code=${answer##*$'\n'}
  case $code in
    200) ;;
    404) sleep 5 && continue ;; # the app has not taken the message from the queue yet
    *) printf '%s %s\n' "$code" "$delivery" >&2 && exit 1 ;; # a problem document: what is wrong, and who must act
  esac
  status=$(printf %s "$delivery" | python3 -c 'import json, sys; print(json.load(sys.stdin)["status"])')
  case $status in
    accepted) printf '%s\n' "$delivery" && exit 0 ;;
    rejected | invalid | expired | unknown) printf '%s\n' "$delivery" && exit 1 ;;
    *) sleep 5 ;;
  esac
done
echo "$message_id has not ended within ten minutes, or is no mail of this tenant" >&2
exit 2
