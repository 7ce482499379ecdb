"""Tests of our two documents with third-party tools, by `make interop`."""

from pathlib import Path

HERE = Path(__file__).parent
MODULES = HERE / "node_modules"
#: NSwag's build for .NET Framework, which Mono runs.
NSWAG = MODULES / "nswag" / "bin" / "binaries" / "Win"
