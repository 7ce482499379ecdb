"""Build the deployment package with its dependencies.

    python -m infra.build_package [dist/inforiver-mailer.zip]

For a deployment without Azure's remote build. The package holds the app and, under .python_packages, the
wheels of requirements.txt for the Flex Consumption plan: Linux on x86-64, CPython 3.13. pip checks every hash
and builds nothing. The same sources give the same bytes.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

from infra.hooks.reporting import report
from shared.version import VERSION

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[1]
OUTPUT = ROOT / "dist" / "inforiver-mailer.zip"

#: Everything that is deployed; a test compares it with what `.funcignore` leaves.
APP = ("function_app.py", "host.json", "requirements.txt", "shared/**/*")
#: The Functions worker looks here: https://learn.microsoft.com/azure/azure-functions/python-build-options
PACKAGES = ".python_packages/lib/site-packages"

PYTHON = "313"
#: The newest C library that a wheel may need: glibc 2.28, which every Linux with Python 3.13 has.
GLIBC_MINOR = 28
PLATFORMS = (
    *(f"manylinux_2_{minor}_x86_64" for minor in range(GLIBC_MINOR, 4, -1)),
    "manylinux2014_x86_64",
)
#: What pip notes about its own work, which differs between its versions; and scripts, which name its Python.
NOT_PACKED = frozenset({"RECORD", "INSTALLER", "REQUESTED", "direct_url.json"})
SCRIPTS = "bin"

#: The earliest that a zip can hold: the time of a build would make each package another one.
EPOCH = (1980, 1, 1, 0, 0, 0)
REGULAR_FILE = 0o100644 << 16


class BuildError(Exception):
    """The package was not built; the text says why."""


def app_files(root: Path = ROOT) -> list[str]:
    """Return the app's own files, relative to the project's root."""
    found = (path for pattern in APP for path in root.glob(pattern))
    paths = (path.relative_to(root) for path in found if path.is_file())
    return sorted(path.as_posix() for path in paths if not any(map(_is_excluded, path.parts)))


def _is_excluded(name: str) -> bool:
    return name == "__pycache__" or name.startswith(".")


def build(output: Path, root: Path = ROOT) -> None:
    """Write the package; an older one is gone as soon as the build begins.

    Raises:
        BuildError: a package has another hash than the pinned one, or no wheel for the platform.
    """
    output.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        _install(root / "requirements.txt", Path(folder))
        entries = [(name, root / name) for name in app_files(root)]
        entries += [(f"{PACKAGES}/{name}", path) for name, path in _installed(Path(folder))]
        output.parent.mkdir(parents=True, exist_ok=True)
        _write(output, sorted(entries))


def _install(requirements: Path, target: Path) -> None:
    command = [sys.executable, "-m", "pip", "install", "-qq", "--disable-pip-version-check"]
    command += ["--require-hashes", "--only-binary=:all:", "--no-deps", "--no-compile"]
    # pip compares Requires-Python with its own Python, not with the one that it installs for.
    command += ["--ignore-requires-python"]
    command += ["--implementation=cp", f"--python-version={PYTHON}", f"--abi=cp{PYTHON}"]
    command += [f"--platform={platform}" for platform in PLATFORMS]
    command += [f"--target={target}", f"--requirement={requirements}"]
    # A user may have set pip to install for the user, which excludes a target, or only into an environment.
    settings = {"PIP_USER": "0", "PIP_REQUIRE_VIRTUALENV": "0"}
    done = subprocess.run(command, env={**os.environ, **settings}, check=False)  # noqa: S603 - pip
    if done.returncode != 0:
        raise BuildError("pip could not install the pinned packages; its message is above.")


def _installed(target: Path) -> Iterator[tuple[str, Path]]:
    for path in target.rglob("*"):
        name = path.relative_to(target)
        own = name.parts[0] == SCRIPTS or (name.parts[0].endswith(".dist-info") and name.name in NOT_PACKED)
        if path.is_file() and not own and "__pycache__" not in name.parts:
            yield name.as_posix(), path


def _write(output: Path, entries: list[tuple[str, Path]]) -> None:
    with zipfile.ZipFile(output, "w") as package:
        for name, path in entries:
            entry = zipfile.ZipInfo(name, EPOCH)
            entry.external_attr = REGULAR_FILE
            package.writestr(entry, path.read_bytes(), zipfile.ZIP_DEFLATED, 9)


def main(arguments: list[str]) -> int:
    """Return the exit code."""
    output = Path(arguments[0]) if arguments else OUTPUT
    try:
        build(output)
    except BuildError as error:
        report(f"{error}\n")
        return 1
    megabytes = output.stat().st_size / 1_000_000
    report(f"{output}: version {VERSION}, {megabytes:.1f} MB\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
