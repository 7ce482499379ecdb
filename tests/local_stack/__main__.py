"""The command line: `python -m tests.local_stack --help`."""

import argparse
import asyncio
import signal
import sys
from dataclasses import fields
from pathlib import Path

from tests.local_stack.host.options import WAIT_HELP, HostOptions, Waits
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
    except ModuleNotFoundError as missing:
        print(f"{missing}. `make setup` installs the packages of requirements-dev.txt.", file=sys.stderr)
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
    _add_environment(commands)
    _add_token(commands)
    _add_fault(commands)
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
    start.add_argument(
        "--json", action="store_true", help="print the addresses as one line of JSON on standard output"
    )
    start.add_argument(
        "--consented", action="store_true", help="start with sending enabled, from ada@contoso.com"
    )
    start.add_argument(
        "--fault",
        action="append",
        nargs="?",
        const="",
        default=[],
        metavar="NAME",
        help="fault for the first mail; repeat the option for the next ones; without a name: list them",
    )
    start.set_defaults(run=_run_start)


def _add_mail(commands: Commands) -> None:
    mail = commands.add_parser(
        "mail",
        help="queue a mail in the running stack",
        description="Queues a mail in the running stack, as a scheduler does, and prints its message id.",
    )
    mail.add_argument("--to", required=True, help="the recipient's address")
    mail.add_argument("--subject", default="A mail from the local stack")
    mail.add_argument("--body", default="<p>It works.</p>", help="the text, as HTML")
    mail.set_defaults(run=_run_mail)


def _add_environment(commands: Commands) -> None:
    environment = commands.add_parser(
        "environment",
        help="print shell commands that set the variables of a scheduler on the running stack",
        description='Use it as: eval "$(.venv/bin/python -m tests.local_stack environment)"',
    )
    environment.set_defaults(run=_run_environment)


def _add_token(commands: Commands) -> None:
    token = commands.add_parser(
        "token",
        help="print an access token of the running stack",
        description="Prints an admin's token for the API, or a scheduler's: for queue and container, or as "
        "`reader` for the deliveries in the API.",
    )
    token.add_argument("who", choices=["admin", "scheduler", "reader"])
    token.set_defaults(run=_run_token)


def _add_fault(commands: Commands) -> None:
    fault = commands.add_parser(
        "fault",
        help="make the next requests to Microsoft 365 fail, in the running stack",
        description="Sets what Microsoft 365 does to the next requests; without a name, lists what there is.",
    )
    fault.add_argument("name", nargs="?", help="such as throttled, recipient-refused, timeout")
    fault.add_argument("--times", type=int, default=1, help="how many requests (default: 1; 0: all)")
    fault.add_argument(
        "--operation", default="", help="which requests: sendMail, send, token, uploadChunk, …"
    )
    fault.add_argument("--all", action="store_true", help="list all faults")
    fault.add_argument("--clear", action="store_true", help="remove all faults")
    fault.set_defaults(run=_run_fault)


def _add_demo(commands: Commands) -> None:
    demo = commands.add_parser(
        "demo",
        help="run consent and sending once and print each step",
        description="Starts the stack, lets an admin consent, queues mails, shows what arrived, and stops.",
    )
    demo.set_defaults(run=_run_demo)


def _add_host(commands: Commands) -> None:
    host = commands.add_parser(
        "host",
        help="run only the Functions host, with the settings of the environment",
        description=(
            "Runs the function app with the settings of the environment, so that it can be pointed at any "
            "Graph, Entra, Key Vault and storage. Ctrl-C lets running work finish; SIGTERM is ignored, as by "
            "the genuine host. The waits are the genuine host's, which has no setting for them; those of "
            "host.json are shortened by variables: AzureFunctionsJobHost__extensions__queues__batchSize."
        ),
    )
    host.add_argument("--app", type=Path, default=Path(), help="folder of host.json (default: this one)")
    host.add_argument("--port", type=int, default=7071, help="port on 127.0.0.1, 0 for any (default: 7071)")
    host.add_argument("--cors", default="", help="origins whose pages may call, separated by commas")
    host.add_argument("--tls-cert", type=Path, help="certificate file (PEM); without it the host speaks HTTP")
    host.add_argument("--tls-key", type=Path, help="the certificate's private key (PEM)")
    host.add_argument("--master-key", default="", help="master key, for all functions and /admin")
    host.add_argument("--host-key", default="", help="host key, for functions of level FUNCTION")
    host.add_argument("--log-records", type=Path, help="file for the app's log records, as JSON")
    for wait in fields(Waits):
        name = f"--{wait.name.replace('_', '-')}-seconds"
        host.add_argument(name, type=type(wait.default), default=wait.default, help=WAIT_HELP[wait.name])
    host.set_defaults(run=_run_host)


# Each command imports what it needs itself: together they take more than a second.


def _run_start(options: argparse.Namespace) -> int:
    from tests.local_stack.running import FAULTS, list_faults
    from tests.local_stack.start import run_until_stopped

    unknown = [name for name in options.fault if name not in FAULTS]
    if unknown:
        return _show_faults(list_faults(), unknown)
    return run_until_stopped(
        options.frontend_origin, as_json=options.json, consented=options.consented, faults=options.fault
    )


def _run_environment(_options: argparse.Namespace) -> int:
    from tests.local_stack.running import RunningStack

    print(RunningStack.find().exports())
    return 0


def _run_token(options: argparse.Namespace) -> int:
    from tests.local_stack.running import RunningStack

    print(RunningStack.find().token(options.who))
    return 0


def _run_fault(options: argparse.Namespace) -> int:
    from tests.local_stack.running import FAULTS, RunningStack, list_faults

    if not options.clear and options.name not in FAULTS:
        found = list_faults(every=options.all or bool(options.name))
        hint = (
            "" if options.all or options.name else f"\n\nThe usual ones; `fault --all` lists {len(FAULTS)}."
        )
        return _show_faults(found + hint, [options.name or ""])
    running = RunningStack.find()
    if options.clear:
        running.clear_faults()
    else:
        running.add_fault(options.name, options.operation, options.times)
    print(f"faults that wait: {len(running.waiting_faults())}")
    return 0


def _show_faults(known: str, unknown: list[str]) -> int:
    """List the faults; an unknown name is an error, no name is not."""
    wrong = [name for name in unknown if name]
    for name in wrong:
        print(f"There is no fault {name}.", file=sys.stderr)
    print(known, file=sys.stderr if wrong else sys.stdout)
    return 2 if wrong else 0


def _run_mail(options: argparse.Namespace) -> int:
    from tests.local_stack.start import queue_mail

    print(queue_mail(options.to, options.subject, options.body))
    return 0


def _run_demo(_options: argparse.Namespace) -> int:
    from tests.local_stack import demo

    return demo.main()


def _run_host(options: argparse.Namespace) -> int:
    from tests.local_stack.host.server import run_host
    from tests.local_stack.host.settings import HostSettingError

    host_options = HostOptions(
        app_directory=options.app,
        port=options.port,
        cors=tuple(filter(None, options.cors.split(","))),
        tls_certificate=options.tls_cert,
        tls_key=options.tls_key,
        master_key=options.master_key,
        host_key=options.host_key,
        log_records=options.log_records,
        waits=Waits(**{wait.name: getattr(options, f"{wait.name}_seconds") for wait in fields(Waits)}),
    )
    try:
        return asyncio.run(run_host(host_options))
    except (HostSettingError, OSError) as error:
        print(f"The host cannot start: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
