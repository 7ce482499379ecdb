"""The command line: `python -m tests.local_stack --help`."""

import argparse
import asyncio
import signal
import sys
from pathlib import Path

from tests.local_stack.prerequisites import MissingPrerequisiteError

type Commands = "argparse._SubParsersAction[argparse.ArgumentParser]"


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return the exit status."""
    options = _parser().parse_args(arguments)
    # A stop from outside ends the stack's children in order, as Ctrl-C does.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        return int(options.run(options))
    except MissingPrerequisiteError as missing:
        print(missing, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Stopped.")
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.local_stack",
        description="Runs the mailer on this machine, without Azure and without Microsoft 365.",
    )
    commands = parser.add_subparsers(required=True, metavar="command")
    _add_start(commands)
    _add_mail(commands)
    _add_demo(commands)
    _add_host(commands)
    return parser


def _add_start(commands: Commands) -> None:
    start = commands.add_parser(
        "start",
        help="run the whole stack until Ctrl-C",
        description=(
            "Starts Azurite, a Microsoft 365, a Key Vault and a managed identity of our own and the app in a "
            "Functions host, prints their addresses and runs until Ctrl-C. Nothing is kept afterwards."
        ),
    )
    start.add_argument(
        "--frontend-origin",
        default="",
        help="origin of a settings page that runs elsewhere and may call the API",
    )
    start.set_defaults(run=_run_start)


def _add_mail(commands: Commands) -> None:
    mail = commands.add_parser(
        "mail",
        help="queue a mail in the stack that `start` runs",
        description="Queues a mail in the running stack, as a scheduler does, and prints its message id.",
    )
    mail.add_argument("--to", required=True, help="the recipient's address")
    mail.add_argument("--subject", default="A mail from the local stack")
    mail.add_argument("--body", default="<p>It works.</p>", help="the text, as HTML")
    mail.set_defaults(run=_run_mail)


def _add_demo(commands: Commands) -> None:
    demo = commands.add_parser(
        "demo",
        help="run the whole journey once and tell it step by step",
        description="Starts the stack, lets an admin consent, queues mails, shows what arrived, and stops.",
    )
    demo.set_defaults(run=_run_demo)


def _add_host(commands: Commands) -> None:
    host = commands.add_parser(
        "host",
        help="run only the Functions host, with the settings of the environment",
        description=(
            "Runs the function app with the settings of the environment, so that it can be pointed at any "
            "Graph, Entra, Key Vault and storage. Ctrl-C or SIGTERM lets running work finish."
        ),
    )
    host.add_argument("--app", type=Path, default=Path(), help="folder of host.json (default: this one)")
    host.add_argument("--port", type=int, default=7071, help="port on 127.0.0.1, 0 for any (default: 7071)")
    host.add_argument("--cors", default="", help="origins whose pages may call, separated by commas")
    host.add_argument("--tls-cert", type=Path, help="certificate file (PEM); without it the host speaks HTTP")
    host.add_argument("--tls-key", type=Path, help="the certificate's private key (PEM)")
    host.add_argument(
        "--lease",
        type=int,
        default=600,
        help="seconds for which a received message stays hidden from others (default: 600, as in Azure)",
    )
    host.set_defaults(run=_run_host)


# Each command imports what it needs itself: together they take more than a second.


def _run_start(options: argparse.Namespace) -> int:
    from tests.local_stack.start import run_until_stopped

    return run_until_stopped(options.frontend_origin)


def _run_mail(options: argparse.Namespace) -> int:
    from tests.local_stack.start import queue_mail

    print(queue_mail(options.to, options.subject, options.body))
    return 0


def _run_demo(_options: argparse.Namespace) -> int:
    from tests.local_stack import demo

    return demo.main()


def _run_host(options: argparse.Namespace) -> int:
    from tests.local_stack.host.server import HostOptions, run_host
    from tests.local_stack.host.settings import HostSettingError
    from tests.local_stack.host.worker import IndexingError

    host_options = HostOptions(
        app_directory=options.app,
        port=options.port,
        cors=tuple(filter(None, options.cors.split(","))),
        tls_certificate=options.tls_cert,
        tls_key=options.tls_key,
        lease=options.lease,
    )
    try:
        asyncio.run(run_host(host_options))
    except (HostSettingError, IndexingError, OSError) as error:
        print(f"The host cannot start: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
