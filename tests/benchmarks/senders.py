"""Senders of the same small mail, each run in a fresh process.

python -m tests.benchmarks.senders <ours | o365 | office365> <address> <count>

It prints the CPU seconds for each mail.
"""

import sys
import time
from collections.abc import Callable
from typing import Any

WARM_UP = 20
MESSAGE: dict[str, Any] = {
    "subject": "Weekly sales, EMEA",
    "importance": "normal",
    "body": {"contentType": "html", "content": "<p>Up 4 %</p>" * 50},
    "toRecipients": [{"emailAddress": {"address": "cfo@contoso.com"}}],
}


def this_app(address: str) -> Callable[[int], None]:
    """Send through `deliver` with in-memory ports and the real Graph adapter."""
    from shared.adapters.graph import GraphMailTransport
    from shared.sending.deliver import deliver
    from tests.builders import a_message, enabled_services

    services = enabled_services()
    services.deliveries.checks_size = False
    services.transport = GraphMailTransport(address)  # type: ignore[assignment]
    body = {"contentType": "html", "content": MESSAGE["body"]["content"]}
    messages = [a_message(messageId=f"m-{number}", body=body) for number in range(100_000)]
    return lambda number: deliver(messages[number], f"q-{number}", services)


def o365(address: str) -> Callable[[int], None]:
    """Send as the documentation of python-o365 does, without its 200 ms pause."""
    from O365 import Account, MSGraphProtocol  # type: ignore[import-not-found]
    from O365.utils.token import MemoryTokenBackend  # type: ignore[import-not-found]

    class LocalProtocol(MSGraphProtocol):  # type: ignore[misc]
        _protocol_url = f"{address}/"

    account = Account(
        ("client", "secret"),
        protocol=LocalProtocol(),
        auth_flow_type="credentials",
        tenant_id="tenant",
        token_backend=MemoryTokenBackend(),
        requests_delay=0,
        main_resource="ada@contoso.com",
    )
    account.con.session = account.con.get_session()
    account.con.session.headers["Authorization"] = "Bearer x"

    def send(_: int) -> None:
        mail = account.new_message()
        mail.to.add("cfo@contoso.com")
        mail.subject = MESSAGE["subject"]
        mail.body = MESSAGE["body"]["content"]
        assert mail.send()

    return send


def office365(address: str) -> Callable[[int], None]:
    """Send as the documentation of Office365-REST-Python-Client does."""
    from office365 import graph_request  # type: ignore[import-not-found]
    from office365.graph_client import GraphClient  # type: ignore[import-not-found]

    # It knows Microsoft's clouds alone.
    graph_request.get_graph_authority = lambda _: address
    client = GraphClient(token_callback=lambda: {"token_type": "Bearer", "access_token": "x"})

    def send(_: int) -> None:
        client.me.send_mail(
            subject=MESSAGE["subject"], body=MESSAGE["body"]["content"], to_recipients=["cfo@contoso.com"]
        ).execute_query()

    return send


def main(way: str, address: str, count: int) -> None:
    """Measure one way."""
    send = {"ours": this_app, "o365": o365, "office365": office365}[way](address)
    for number in range(WARM_UP):
        send(number)
    started = time.process_time()
    for number in range(WARM_UP, WARM_UP + count):
        send(number)
    print((time.process_time() - started) / count)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
