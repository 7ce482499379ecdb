"""A client of Microsoft's Bicep CLI through one `bicep jsonrpc` process.

The first request pays for the start of the compiler, later ones take a fraction of a second. The protocol is
that of https://learn.microsoft.com/azure/azure-resource-manager/bicep/bicep-cli-jsonrpc; its messages are
listed in https://github.com/Azure/bicep, `src/Bicep.Cli/Rpc/ICliJsonRpcProtocol.cs`.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from pathlib import Path

#: Made-up ids, so that a prediction depends on the parameter file alone.
SUBSCRIPTION = "00000000-0000-0000-0000-0000000000aa"
TENANT = "00000000-0000-0000-0000-0000000000bb"
DEPLOYMENT_LOCATION = "westeurope"


class BicepError(Exception):
    """Bicep rejects a file or cannot predict it; the message is Bicep's."""


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """A message of the compiler (`BCP…`) or of a linter rule."""

    path: str
    line: int
    level: str
    code: str
    message: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line} {self.level} {self.code}: {self.message}"


def is_available() -> bool:
    """Tell whether the CLI is on the PATH."""
    return shutil.which("bicep") is not None


class Bicep:
    """A running CLI. Use it as a context manager, so that the process ends."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            ["bicep", "jsonrpc", "--stdio"],  # noqa: S607 - the CLI is found on the PATH by design
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        self._requests = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.communicate(timeout=30)

    def version(self) -> str:
        """Return the CLI's version, for example 0.49.2."""
        return str(self._request("version")["version"])

    def format(self, path: Path) -> str:
        """Return the official format of a file.

        Raises:
            BicepError: the file does not parse.
        """
        contents = self._request("format", path=str(path))["contents"]
        if contents is None:
            raise BicepError(f"{path.name} does not parse")
        return str(contents)

    def diagnose(self, path: Path) -> list[Diagnostic]:
        """Compile a template with its modules and return all messages."""
        return _diagnostics(self._request("compile", path=str(path)))

    def compile(self, path: Path) -> dict[str, Any]:
        """Compile a template with its modules to Resource Manager's JSON.

        Raises:
            BicepError: it does not compile.
        """
        response = self._request("compile", path=str(path))
        if not response["success"]:
            raise BicepError("; ".join(map(str, _diagnostics(response))))
        template: dict[str, Any] = json.loads(response["contents"])
        return template

    def predict(self, parameter_file: Path) -> dict[str, Any]:
        """Predict the resources of a `.bicepparam` file, outputs sorted.

        Raises:
            BicepError: the template rejects the parameters.
        """
        metadata = {
            "tenantId": TENANT,
            "subscriptionId": SUBSCRIPTION,
            "resourceGroup": None,
            "location": DEPLOYMENT_LOCATION,
            "deploymentName": None,
        }
        try:
            response = self._request(
                "getSnapshot", path=str(parameter_file), metadata=metadata, externalInputs=None
            )
        except BicepError as error:
            # "Compilation failed" alone does not say where.
            compiled = self._request("compileParams", path=str(parameter_file), parameterOverrides={})
            raise BicepError("; ".join([str(error), *map(str, _diagnostics(compiled))])) from error
        snapshot: dict[str, Any] = json.loads(response["snapshot"])
        # Bicep writes outputs in another order each time.
        return snapshot | {"outputs": dict(sorted(snapshot.get("outputs", {}).items()))}

    def _request(self, method: str, **params: Any) -> dict[str, Any]:
        self._requests += 1
        call = {"jsonrpc": "2.0", "id": self._requests, "method": f"bicep/{method}", "params": params}
        body = json.dumps(call).encode()
        assert self._process.stdin
        self._process.stdin.write(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
        self._process.stdin.flush()
        response = self._response()
        if "error" in response:
            raise BicepError(response["error"]["message"])
        result: dict[str, Any] = response["result"]
        return result

    def _response(self) -> dict[str, Any]:
        assert self._process.stdout
        length = 0
        while header := self._process.stdout.readline().strip():
            name, _, value = header.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        if not length:
            raise BicepError("bicep ended without a response")
        response: dict[str, Any] = json.loads(self._process.stdout.read(length))
        return response


def _diagnostics(response: dict[str, Any]) -> list[Diagnostic]:
    return [
        Diagnostic(
            path=item["source"],
            line=item["range"]["start"]["line"] + 1,
            level=item["level"].lower(),
            code=item["code"],
            message=item["message"],
        )
        for item in response["diagnostics"]
    ]
