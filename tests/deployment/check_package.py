"""The unpacked package has every dependency, and its functions load.

`make test` does not collect this test, because it needs a package index: `make check-package` runs it.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import zipfile
from importlib.metadata import PathDistribution
from pathlib import Path
from shutil import copyfile

import pytest
from packaging.utils import canonicalize_name

from infra.build_package import GLIBC_MINOR, OUTPUT, PACKAGES, BuildError, app_files, build
from tests.deployment.pins import ROOT, pins
from tests.test_function_app import HTTP, QUEUES, TIMERS

#: Runs with Python's standard library alone (-I -S): no environment, no repository.
INDEX = """
import sys
app, packages, worker = sys.argv[1:]
sys.path += [app, packages, worker]

import asyncio, importlib, json, pkgutil
from pathlib import Path
from tests.local_stack.host.worker_main import index

indexed = asyncio.run(index(Path(app)))
assert not indexed.error, indexed.error
functions = {function.name: function.trigger["type"] for function in indexed.functions}
import shared
for found in pkgutil.walk_packages(shared.__path__, "shared."):
    importlib.import_module(found.name)
files = [getattr(found, "__file__", None) for found in list(sys.modules.values())]
print(json.dumps({"functions": functions, "files": [str(Path(file).resolve()) for file in files if file]}))
"""


@pytest.fixture(scope="module")
def package() -> zipfile.ZipFile:
    return zipfile.ZipFile(OUTPUT)


@pytest.fixture(scope="module")
def unpacked(package: zipfile.ZipFile, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wwwroot")
    package.extractall(folder)
    return folder.resolve()


def test_the_app_in_the_package_is_the_app_of_this_tree(package: zipfile.ZipFile) -> None:
    own = [name for name in package.namelist() if not name.startswith(f"{PACKAGES}/")]

    assert own == app_files()
    assert {name: package.read(name) for name in own} == {name: (ROOT / name).read_bytes() for name in own}


def test_every_pinned_package_is_there_in_its_version_and_no_other(unpacked: Path) -> None:
    found = [PathDistribution(path) for path in (unpacked / PACKAGES).glob("*.dist-info")]

    assert {canonicalize_name(one.name): one.version for one in found} == {
        pin.name: pin.version for pin in pins("requirements.txt").values() if pin.applies_here
    }


def test_nothing_else_is_in_the_package(package: zipfile.ZipFile) -> None:
    names = package.namelist()

    assert names == sorted(set(names))
    assert [
        name for name in names if re.search(r"(^|/)(__pycache__|bin|RECORD|INSTALLER)(/|$)|\.pyc$", name)
    ] == []
    assert [name for name in names if re.search(r"(pyproject\.toml|\.lock|setup\.py)$", name)] == []


def test_no_entry_reveals_when_or_by_whom_it_was_built(package: zipfile.ZipFile) -> None:
    entries = package.infolist()

    assert {entry.date_time for entry in entries} == {(1980, 1, 1, 0, 0, 0)}
    assert {entry.external_attr >> 16 for entry in entries} == {0o100644}


def test_a_compiled_module_is_for_python_3_13_on_linux_and_x86_64(package: zipfile.ZipFile) -> None:
    compiled = [name for name in package.namelist() if re.search(r"\.(so(\.\d+)*|pyd|dll|dylib)$", name)]

    assert compiled
    for name in compiled:
        header = package.read(name)[:20]
        assert header[:5] == b"\x7fELF\x02", name
        assert int.from_bytes(header[18:20], "little") == 62, name
        assert re.search(r"\.(cpython-313-x86_64-linux-gnu|abi3)\.so$", name), name


def test_no_wheel_needs_a_newer_c_library(package: zipfile.ZipFile) -> None:
    wheels = [name for name in package.namelist() if name.endswith(".dist-info/WHEEL")]

    assert len(wheels) == len([pin for pin in pins("requirements.txt").values() if pin.applies_here])
    for name in wheels:
        text = package.read(name).decode()
        minors = [int(minor) for minor in re.findall(r"^Tag: .*manylinux_2_(\d+)_x86_64", text, re.MULTILINE)]
        old = re.search(r"^Tag: .*(-any|manylinux2014_x86_64)$", text, re.MULTILINE)
        assert old or (minors and min(minors) <= GLIBC_MINOR), name


def test_the_unpacked_package_loads_every_function_and_module(unpacked: Path, tmp_path: Path) -> None:
    # Copies, so that nothing of the repository is beside them.
    for name in ("worker_main", "messages"):
        copy = tmp_path / f"tests/local_stack/host/{name}.py"
        copy.parent.mkdir(parents=True, exist_ok=True)
        copyfile(ROOT / f"tests/local_stack/host/{name}.py", copy)
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", INDEX, unpacked, unpacked / PACKAGES, tmp_path],
        cwd=unpacked,
        env={},
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )

    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout.splitlines()[-1])
    assert result["functions"].keys() == {*HTTP, *QUEUES, *TIMERS}
    standard_library = Path(sys.base_prefix).resolve()
    elsewhere = [
        file
        for file in result["files"]
        if not Path(file).is_relative_to(unpacked)
        and not Path(file).is_relative_to(standard_library)
        and not Path(file).is_relative_to(tmp_path.resolve())
    ]
    assert elsewhere == []
    assert not any("site-packages" in file for file in result["files"] if str(unpacked) not in file)


def test_the_same_sources_give_the_same_bytes(tmp_path: Path) -> None:
    build(tmp_path / "again.zip")

    assert (tmp_path / "again.zip").read_bytes() == OUTPUT.read_bytes()


def test_a_file_with_another_hash_is_refused_and_leaves_no_package(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    text = (ROOT / "requirements.txt").read_text("utf-8")
    pin = pins("requirements.txt")["isodate"]
    wrong = re.sub(r"(isodate==\S+ \\\n(?: +--hash=sha256:[0-9a-f]{64} ?\\?\n)+)", "", text)
    (tmp_path / "requirements.txt").write_text(
        f"{wrong}\nisodate=={pin.version} --hash=sha256:{'0' * 64}\n", encoding="utf-8"
    )
    (tmp_path / "old.zip").touch()

    with pytest.raises(BuildError):
        build(tmp_path / "old.zip", tmp_path)

    assert "THESE PACKAGES DO NOT MATCH THE HASHES" in capfd.readouterr().err
    assert not (tmp_path / "old.zip").exists()


def test_a_package_without_a_wheel_is_refused(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A source distribution would be built here, for this machine."""
    (tmp_path / "requirements.txt").write_text(f"docopt==0.6.2 --hash=sha256:{'0' * 64}\n", encoding="utf-8")

    with pytest.raises(BuildError):
        build(tmp_path / "package.zip", tmp_path)

    assert "No matching distribution found for docopt==0.6.2" in capfd.readouterr().err
