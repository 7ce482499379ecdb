"""Run the operator's commands.

    python -m shared.operate pause --reason "installing version 1.4"
    python -m shared.operate wait
    python -m shared.operate resume
    python -m shared.operate status
    python -m shared.operate delete-tenant <tenant id>
    python -m shared.operate take-over <tenant id>
    python -m shared.operate delete-address <mail address>

Storage is found as in the app: by the app's settings in the environment with your own sign-in (`az login`),
or by a connection string in AzureWebJobsStorage.
"""

from __future__ import annotations

import sys
import time
from argparse import ArgumentParser, ArgumentTypeError, Namespace, RawDescriptionHelpFormatter
from datetime import timedelta
from typing import TYPE_CHECKING, Protocol
from uuid import UUID

from shared.errors import ProblemError
from shared.mail_address import check_mail_address
from shared.operate.delete_address import DeleteAddressServices, delete_address
from shared.operate.delete_tenant import DeleteTenantServices, delete_tenant
from shared.operate.switch import (
    SwitchServices,
    pause_sending,
    resume_sending,
    show_status,
    wait_until_nothing_is_sent,
)
from shared.operate.take_over import TakeOverServices, take_over
from shared.settings.sending_switch import MAX_REASON_LENGTH

if TYPE_CHECKING:
    from collections.abc import Callable

#: The longest time that `wait` waits: a day.
MAX_MINUTES = 1440


class OperateServices(
    SwitchServices, DeleteTenantServices, TakeOverServices, DeleteAddressServices, Protocol
):
    """The ports of all commands."""


def main(arguments: list[str], ports: OperateServices, sleep: Callable[[float], None] = time.sleep) -> int:
    """Run one command; return 1 if it failed."""
    options = _parser().parse_args(arguments)
    try:
        return int(_run(options, ports, sleep))
    except ProblemError as error:
        sys.stderr.write(f"{error}\n")
        return 1


def _run(options: Namespace, ports: OperateServices, sleep: Callable[[float], None]) -> bool:
    """Run the command; return whether it failed."""
    match options.command:
        case "pause":
            pause_sending(options.reason, ports)
        case "resume":
            resume_sending(ports)
        case "wait":
            return not wait_until_nothing_is_sent(timedelta(minutes=options.minutes), ports, sleep)
        case "delete-tenant":
            return not delete_tenant(options.tenant_id, options.confirm, ports)
        case "delete-address":
            return not delete_address(options.address, options.confirm, ports)
        case "take-over":
            return not take_over(options.tenant_id, options.confirm, ports)
        case _:
            show_status(ports)
    return False


def _parser() -> ArgumentParser:
    parser = ArgumentParser(
        "python -m shared.operate",
        description=(__doc__ or ""),
        formatter_class=RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    pause = commands.add_parser("pause", help="pause sending for the whole installation")
    pause.add_argument(
        "--reason", type=_reason, help="one line for the workspace admins, on the settings page"
    )
    wait = commands.add_parser(
        "wait", help="wait until no mail is being sent; exits with 1 on a timeout or if sending is not paused"
    )
    wait.add_argument("--minutes", type=_minutes, default=15, help="timeout in minutes (default: 15)")
    commands.add_parser("resume", help="resume sending")
    commands.add_parser("status", help="show whether sending is paused, and the number of mails by status")
    delete = commands.add_parser(
        "delete-tenant", help="list, and with --confirm delete, the data of a tenant that is no longer served"
    )
    delete.add_argument("tenant_id", type=_tenant_id, help="the tenant's id")
    delete.add_argument(
        "--confirm", metavar="CODE", help="the code that the command prints without this option"
    )
    take = commands.add_parser(
        "take-over",
        help="show which installation wrote a tenant's settings; with --confirm remove or adopt them",
    )
    take.add_argument("tenant_id", type=_tenant_id, help="the tenant's id")
    take.add_argument(
        "--confirm", metavar="NAME", help="the name that the command prints without this option"
    )
    person = commands.add_parser(
        "delete-address", help="show where a mail address is stored, and with --confirm delete it"
    )
    person.add_argument("address", type=_address, help="the mail address")
    person.add_argument(
        "--confirm", metavar="CODE", help="the code that the command prints without this option"
    )
    return parser


def _address(text: str) -> str:
    try:
        return check_mail_address(text)
    except ValueError as error:
        raise ArgumentTypeError(str(error)) from error


def _tenant_id(text: str) -> str:
    try:
        return str(UUID(text))
    except ValueError as error:
        raise ArgumentTypeError("use a tenant's id, such as 6f1c0000-0000-4000-8000-0000000c0701") from error


def _minutes(text: str) -> int:
    if not text.isdecimal() or not text.isascii() or not 1 <= int(text) <= MAX_MINUTES:
        raise ArgumentTypeError(f"use a whole number of minutes from 1 to {MAX_MINUTES}")
    return int(text)


def _reason(text: str) -> str:
    if not text.isprintable() or len(text) > MAX_REASON_LENGTH:
        raise ArgumentTypeError(f"use one line of at most {MAX_REASON_LENGTH} printable characters")
    return text


if __name__ == "__main__":
    from shared.operate.services import operator_services

    sys.exit(main(sys.argv[1:], operator_services()))
