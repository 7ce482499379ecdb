"""Every installed package is pinned with the hashes of its files."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from typing import TYPE_CHECKING

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from shared.version import VERSION
from tests.deployment.pins import FILES, ROOT, pins, tracked_files

if TYPE_CHECKING:
    from pathlib import Path

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
#: Where each file's packages are declared.
DECLARED = {
    "requirements.txt": PROJECT["project"]["dependencies"],
    "requirements-dev.txt": PROJECT["dependency-groups"]["dev"],
}
#: A build service or an editor that finds one of these prefers it to requirements.txt.
OTHER_LOCK_FILES = {
    "uv.lock",
    "poetry.lock",
    "pdm.lock",
    "pylock.toml",
    "Pipfile",
    "Pipfile.lock",
    "setup.py",
}


@pytest.mark.parametrize("file", FILES)
def test_every_package_is_pinned_with_the_hashes_of_its_files(file: str) -> None:
    found = pins(file)

    assert len(found) > len(DECLARED[file])
    assert [pin.name for pin in found.values() if not pin.hashes] == []


@pytest.mark.parametrize("file", FILES)
def test_nothing_in_a_file_escapes_the_hashes_or_names_an_index(file: str) -> None:
    lines = [line.strip() for line in (ROOT / file).read_text("utf-8").splitlines()]
    understood = re.compile(r"#|--hash=sha256:[0-9a-f]{64}( \\)?$|[a-z0-9._-]+==\S+( ; [^\\]+)?( \\)?$")

    assert [line for line in lines if line and not understood.match(line)] == []
    assert [line for line in lines if "://" in line or "@ " in line] == []


@pytest.mark.parametrize("file", FILES)
def test_a_declared_package_is_pinned_to_a_version_that_fits(file: str) -> None:
    found = pins(file)

    for requirement in map(Requirement, DECLARED[file]):
        assert requirement.specifier.contains(found[canonicalize_name(requirement.name)].version)


@pytest.mark.parametrize("file", FILES)
def test_a_package_that_is_no_longer_declared_is_no_longer_pinned(file: str) -> None:
    """The note beside a pin names its cause; a wrong one shows a stale file."""
    asked_for_by_us = re.findall(
        r"^([a-z0-9._-]+)==(?:[^#]|#(?! via))*# via [^\n]*pyproject\.toml",
        (ROOT / file).read_text("utf-8"),
        re.MULTILINE,
    )
    declared = {canonicalize_name(Requirement(text).name) for text in DECLARED[file]}

    assert set(asked_for_by_us) == declared


def test_both_files_pin_one_version_of_a_package() -> None:
    deployed, development = pins("requirements.txt"), pins("requirements-dev.txt")
    both = deployed.keys() & development.keys()

    assert {name: development[name].version for name in both} == {
        name: deployed[name].version for name in both
    }


def test_there_is_no_other_lock_file() -> None:
    assert [path for path in tracked_files() if path.rpartition("/")[2] in OTHER_LOCK_FILES] == []
    assert [path for path in tracked_files() if re.fullmatch(r"requirements.*\.in", path)] == []


def test_every_installation_of_packages_checks_the_hashes() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8").replace("\\\n", " ")
    commands = re.findall(r"pip install[^\n]*", makefile)

    assert commands
    assert [command for command in commands if "--require-hashes" not in command] == []


def test_pip_install_works_in_a_clone(tmp_path: Path) -> None:
    """Editors and azd run it where they find a pyproject.toml."""
    clone, installed = tmp_path / "clone", tmp_path / "installed"
    for path in tracked_files():
        (clone / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / path, clone / path)

    # The packages that it depends on, and setuptools, are in this environment: no index is contacted.
    offline = ["--no-index", "--no-deps", "--no-build-isolation"]
    done = subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", *offline, "--target", installed, "."],
        cwd=clone,
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )

    assert done.returncode == 0, done.stderr
    assert (installed / "shared" / "problems.toml").is_file()
    assert (installed / "function_app.py").is_file()
    assert {path.name for path in installed.iterdir()} == {
        "function_app.py",
        f"inforiver_mailer-{VERSION}.dist-info",
        "shared",
        "__pycache__",
    }


def test_the_version_is_defined_in_one_place() -> None:
    assert PROJECT["project"]["dynamic"] == ["version"]
    assert "version" not in PROJECT["project"]
    assert PROJECT["tool"]["setuptools"]["dynamic"]["version"] == {"attr": "shared.version.VERSION"}
