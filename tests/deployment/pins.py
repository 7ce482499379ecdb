"""Reads the files that `make lock` writes."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
FILES = ("requirements.txt", "requirements-dev.txt")


@dataclass(frozen=True)
class Pin:
    """One pinned package of a requirements file."""

    name: str
    version: str
    applies_here: bool
    hashes: frozenset[str]


def pins(file: str) -> dict[str, Pin]:
    """Return the pins of a requirements file by package name."""
    joined = (ROOT / file).read_text("utf-8").replace("\\\n", " ")
    entries = [line for line in joined.splitlines() if line and not line.lstrip().startswith("#")]
    return {pin.name: pin for pin in map(_pin, entries)}


def tracked_files() -> list[str]:
    """Return the paths that a clone has, with `/` between folders."""
    command = ["git", "ls-files", "-z"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return [path for path in listed.stdout.split("\0") if path and (ROOT / path).exists()]


def _pin(entry: str) -> Pin:
    specification, *hashes = entry.split(" --hash=")
    requirement = Requirement(specification.strip())
    ((specifier),) = requirement.specifier
    return Pin(
        name=requirement.name,
        version=specifier.version,
        applies_here=requirement.marker is None or requirement.marker.evaluate(),
        hashes=frozenset(text.strip() for text in hashes),
    )
