"""Compare what a resource says with what it should say."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.infra.project import Project
    from tests.infra.template import Declaration


def expect(project: Project, module: str, target: str, wanted: Mapping[str, str]) -> Iterator[str]:
    """Compare properties of every resource of a type; there has to be one."""
    resources = project.template(module).of("resource", target)
    if not resources:
        yield f"infra/modules/{module}.bicep has no {target}"
    for resource in resources:
        for path, expected in wanted.items():
            found = text_at(resource, path)
            if found != expected:
                yield f"infra/modules/{module}.bicep:{resource.line} {path} is {found}, not {expected}"


def text_at(resource: Declaration, path: str) -> str | None:
    """The text of the value under a dotted path."""
    value = resource.at(path)
    return value.text if value else None
