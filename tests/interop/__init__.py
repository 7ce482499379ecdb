"""What tools of others make of our two documents; `make interop` runs this, `make test` does not."""

from pathlib import Path

HERE = Path(__file__).parent
MODULES = HERE / "node_modules"
#: NSwag's build for .NET Framework, which Mono runs.
NSWAG = MODULES / "nswag" / "bin" / "binaries" / "Win"
