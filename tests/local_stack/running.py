"""A running stack for programs: addresses, tokens and faults."""

import json
import shlex
from dataclasses import dataclass
from typing import Any

import requests

from shared.storage_names import ATTACHMENTS, MAIL_OUTBOX
from tests.local_stack.host_process import REPOSITORY
from tests.local_stack.loopback import loopback_session
from tests.local_stack.microsoft365.contoso import ADA, CONTOSO
from tests.local_stack.microsoft365.faults import FAULT_EFFECTS
from tests.local_stack.prerequisites import MissingPrerequisiteError
from tests.local_stack.stack import LocalStack
from tests.local_stack.storage_access import STORAGE
from tests.local_stack.storage_roles import OUTCOMES

DIRECTORY = REPOSITORY / ".local"
#: Where a running stack leaves its description for other commands.
DESCRIPTION_FILE = DIRECTORY / "stack.json"
#: The connection string alone, for a shell.
STORAGE_FILE = DIRECTORY / "storage"
COMMAND = ".venv/bin/python -m tests.local_stack"
#: What other commands say where none runs.
NOT_RUNNING = "No local stack is running: start one with `make start`."
TIMEOUT_SECONDS = 10.0

#: The effects by names that need no quotes in a shell.
USUAL_FAULTS = (
    "throttled",
    "busy",
    "timeout",
    "timeout-but-accepted",
    "recipient-refused",
    "mailbox-full",
    "too-large",
    "send-as-denied",
    "access-denied",
    "token-expired",
)
FAULTS = {name.lower().replace(" ", "-"): name for name in FAULT_EFFECTS}


def describe(stack: LocalStack, *, consented: bool) -> dict[str, Any]:
    """Describe a running stack; `docs/scheduler.md` documents the members."""
    return {
        "connectionString": stack.azurite.connection_string,
        "queueEndpoint": stack.access.urls["queue"],
        "blobEndpoint": stack.access.urls["blob"],
        "queue": MAIL_OUTBOX,
        "container": ATTACHMENTS,
        "outcomeQueue": OUTCOMES,
        "tenantId": CONTOSO,
        "apiUrl": stack.api_url,
        "inboxUrl": stack.graph_url,
        "settingsPageUrl": f"{stack.frontend_origin}/settings",
        "caFile": str(stack.authority.ca_file),
        "logFile": str(stack.hosts[0].log_file),
        "schedulerEnvironment": stack.scheduler_environment(),
        "adminTokenCommand": f"{COMMAND} token admin",
        "schedulerTokenCommand": f"{COMMAND} token scheduler",
        "readerTokenCommand": f"{COMMAND} token reader",
        "consented": consented,
    }


@dataclass(frozen=True)
class RunningStack:
    """The stack that `start` runs, as another process reaches it."""

    description: dict[str, Any]

    @classmethod
    def find(cls) -> "RunningStack":
        """Read the description of the running stack.

        Raises:
            MissingPrerequisiteError: no stack runs.
        """
        try:
            return cls(json.loads(DESCRIPTION_FILE.read_text("utf-8")))
        except FileNotFoundError:
            raise MissingPrerequisiteError(NOT_RUNNING) from None

    def token(self, who: str) -> str:
        """Return an access token of an admin, a scheduler or a `reader`.

        A scheduler's is for storage, a reader's for the API.
        """
        if who == "admin":
            return str(self._control("POST", "api-token", {"address": ADA})["access_token"])
        variables = self.description["schedulerEnvironment"]
        resource = variables["MAIL_API_CLIENT_ID"] if who == "reader" else STORAGE
        with self._session() as session:
            response = session.get(
                variables["IDENTITY_ENDPOINT"],
                params={"resource": resource, "api-version": "2019-08-01"},
                headers={"X-IDENTITY-HEADER": variables["IDENTITY_HEADER"]},
                timeout=TIMEOUT_SECONDS,
            )
        response.raise_for_status()
        return str(response.json()["access_token"])

    def exports(self) -> str:
        """Return shell commands that set the variables of `docs/scheduler.md`."""
        found = self.description
        variables = {
            **found["schedulerEnvironment"],
            "CURL_CA_BUNDLE": found["caFile"],
            "MAIL_INBOX_URL": found["inboxUrl"],
        }
        return "\n".join(f"export {name}={shlex.quote(value)}" for name, value in variables.items())

    def add_fault(self, name: str, operation: str = "", times: int = 1) -> None:
        """Add a fault for the next requests; KeyError for an unknown name."""
        effect = FAULTS[name]
        body = {"effect": effect, "operation": operation or operation_of(effect), "times": times}
        self._control("POST", "faults", body)

    def clear_faults(self) -> None:
        """Remove every fault."""
        with self._session() as session:
            session.delete(f"{self.description['inboxUrl']}/_control/faults", timeout=TIMEOUT_SECONDS)

    def waiting_faults(self) -> list[dict[str, Any]]:
        """List the pending faults."""
        waiting: list[dict[str, Any]] = self._control("GET", "faults", None)["waiting"]
        return waiting

    def _control(self, method: str, path: str, body: object) -> dict[str, Any]:
        url = f"{self.description['inboxUrl']}/_control/{path}"
        with self._session() as session:
            response = session.request(method, url, json=body, timeout=TIMEOUT_SECONDS)
        response.raise_for_status()
        found: dict[str, Any] = response.json()
        return found

    def _session(self) -> requests.Session:
        return loopback_session(self.description["caFile"])


def operation_of(effect: str) -> str:
    """Return the usual operation of an effect: Entra's or Graph's."""
    return "token" if FAULT_EFFECTS[effect].aadsts or effect.startswith("Entra") else "sendMail"


def list_faults(*, every: bool = True) -> str:
    """List the faults with their responses: all, or the usual ones first."""
    lines = []
    for name, effect in FAULTS.items():
        if not every and name not in USUAL_FAULTS:
            continue
        button = FAULT_EFFECTS[effect]
        response = " ".join(
            part
            for part in (
                f"AADSTS{button.aadsts}" if button.aadsts else str(button.status or ""),
                button.code,
                f"Retry-After: {button.retry_after}" if button.retry_after else "",
                f"connection {button.connection}" if button.connection != "kept" else "",
                f"after {button.delay:.0f} s" if button.delay else "",
                "although the mail is accepted" if button.accepted else "",
            )
            if part
        )
        lines.append(f"  {name:32} {operation_of(effect):9} {response}")
    return "\n".join(lines)
