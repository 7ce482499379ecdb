"""Faults that a rule must detect, as replacements in a project copy.

    @pytest.mark.fails_when(
        predicted('"httpsOnly": true', '"httpsOnly": false'),
        template("modules/function.bicep", "httpsOnly: true", "httpsOnly: false"),
    )
    def test_the_site_responds_to_https_alone(project: Project) -> None: ...

The test runs once on the project as it is and must pass, and once for each fault and must fail with an
AssertionError. `conftest.py` does both.
"""

from __future__ import annotations

from dataclasses import dataclass

from tests.infra.project import INTERFACE, MAIN, snapshot_path


@dataclass(frozen=True)
class Change:
    """One fault; `predict_again` names the parameter set that shows it."""

    path: str
    old: str
    new: str
    predict_again: str = ""

    def __str__(self) -> str:
        kind = "template" if self.predict_again else "predicted" if "snapshot" in self.path else "file"
        return f"{kind}: {' '.join(self.new.split())[:40] or 'removed'}"


def predicted(old: str, new: str, deployment: str = "defaults") -> Change:
    """Break the predicted resources of a parameter set."""
    return Change(snapshot_path(deployment), old, new)


def template(path: str, old: str, new: str, deployment: str = "defaults") -> Change:
    """Break a file under `infra/` and predict again; skipped without Bicep."""
    return Change(f"infra/{path}", old, new, predict_again=deployment)


def interface(old: str, new: str) -> Change:
    """Break the compiled parameters and outputs of the main template."""
    return Change(INTERFACE, old, new)


def parameter(old: str, new: str) -> Change:
    """Break parameters or outputs in `main.bicep`; skipped without Bicep."""
    return Change(MAIN, old, new, predict_again="interface")


def file(path: str, old: str, new: str) -> Change:
    """Break any file that the project reads."""
    return Change(path, old, new)
