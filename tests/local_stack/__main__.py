"""The command line: `python -m tests.local_stack --help`."""

import argparse
import asyncio
import sys
from pathlib import Path

from tests.local_stack.prerequisites import MissingPrerequisiteError


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return the exit status."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.run(options))
    except MissingPrerequisiteError as missing:
        print(missing, file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.local_stack",
        description="Runs the mailer on this machine, without Azure and without Microsoft 365.",
    )
    commands = parser.add_subparsers(required=True, metavar="command")
    _add_host(commands)
    return parser


def _add_host(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
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


def _run_host(options: argparse.Namespace) -> int:
    # Imported here: the other commands need none of it, and it takes most of a second.
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
