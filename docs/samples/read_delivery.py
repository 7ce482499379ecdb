# /// script
# requires-python = ">=3.11"
# dependencies = ["azure-identity>=1.19", "requests>=2.32"]
# ///
"""Wait until a mail has a final status, and print the delivery as JSON.

    export MAIL_API_URL=https://<app>.azurewebsites.net
    export MAIL_API_CLIENT_ID=<client id of the installation's app registration>
    uv run read_delivery.py sales-weekly:2026-11-23:emea

The identity needs the app role Deliveries.Read. Exits with 0 for an accepted mail, 1 for any other final
status, 2 if the mail has no final status within ten minutes.
"""

import json
import os
import sys
import time

import requests
from azure.identity import DefaultAzureCredential

ENDS = {"accepted", "rejected", "invalid", "expired", "unknown"}


def read(session: requests.Session, message_id: str, token: str) -> dict[str, object] | None:
    """Return the delivery; None while its message is still in the queue."""
    address = f"{os.environ['MAIL_API_URL']}/api/deliveries/{message_id}"
    response = session.get(address, headers={"Authorization": f"Bearer {token}"}, timeout=30)
    if response.status_code == requests.codes.not_found:
        return None
    if not response.ok:
        # A problem document describes the error and who must act.
        sys.exit(f"{response.status_code} {response.text}")
    delivery: dict[str, object] = response.json()
    return delivery


def main(message_id: str) -> int:
    """Poll until the status is final, for at most ten minutes.

    A request every five seconds is a negligible load for the installation.
    """
    deadline = time.monotonic() + 600
    with DefaultAzureCredential() as credential, requests.Session() as session:
        while time.monotonic() < deadline:
            token = credential.get_token(f"{os.environ['MAIL_API_CLIENT_ID']}/.default").token
            delivery = read(session, message_id, token)
            if delivery and delivery["status"] in ENDS:
                print(json.dumps(delivery, ensure_ascii=False))
                return 0 if delivery["status"] == "accepted" else 1
            time.sleep(5)
    print(
        f"{message_id} has no final status after ten minutes, or is no mail of this tenant", file=sys.stderr
    )
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
