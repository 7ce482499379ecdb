"""Who may do what: role ids, names of assignments, and exactly the roles that each principal needs."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.infra.project import Project
    from tests.infra.template import Declaration

ASSIGNMENT = "Microsoft.Authorization/roleAssignments"

#: https://learn.microsoft.com/azure/role-based-access-control/built-in-roles
ROLE_IDS = {
    "Key Vault Secrets Officer": "b86a8fe4-44ce-4948-aee5-eccb2c155cd7",
    "Monitoring Metrics Publisher": "3913510d-42f4-4e42-8a64-420c390055eb",
    "Storage Blob Data Contributor": "ba92f5b4-2d11-453d-a403-e96b0029c9fe",
    "Storage Blob Data Owner": "b7e6dc6d-f1e8-4753-8033-0f276bb0955b",
    "Storage Queue Data Contributor": "974c5e8b-45b9-4653-ba55-5f855dd0fb88",
    "Storage Queue Data Message Sender": "c6a89b2d-59bc-44d0-9896-0f6e12d7b80a",
    "Storage Table Data Contributor": "0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3",
}

#: What the app needs: the host's minimum, its own data, tokens, telemetry. No more.
APP_STORAGE_ROLES = {
    "Storage Blob Data Owner",
    "Storage Queue Data Contributor",
    "Storage Table Data Contributor",
}

_SCOPES = {
    "appOnStorage": "storage",
    "appOnVault": "vault",
    "appOnComponent": "component",
    "schedulersOnOutbox": "outbox",
    "schedulersOnAttachments": "attachments",
    "operatorOnStorage": "storage",
    "operatorOnVault": "vault",
}


def role_ids_are_microsofts(project: Project) -> Iterator[str]:
    """Each role name has the id that Microsoft published, and no id stands outside the table."""
    template = project.template("roles")
    table = template.named("roleIds")
    found = {key: value.text for key, value in table.body.properties.items()} if table and table.body else {}
    for name, role_id in found.items():
        if ROLE_IDS.get(name) != role_id:
            yield f"{template.path}: {name} is not {role_id}"
    for path, text in project.files.items():
        if path.endswith(".bicep") and path != template.path:
            for role_id in sorted(set(ROLE_IDS.values()) & set(re.findall(r"[0-9a-f-]{36}", text))):
                yield f"{path}: the role id {role_id} belongs into roles.bicep"


def roles_are_in_the_table(project: Project) -> Iterator[str]:
    """Every role that is given by name stands in the table."""
    template = project.template("roles")
    table = template.named("roleIds")
    known = set(table.body.keys) if table and table.body else set()
    text = project.files[template.path]
    given = set(re.findall(r"roleIds\['([^']+)'\]", text))
    for variable in ("appStorageRoles", "operatorStorageRoles", "operatorVaultRoles"):
        declared = template.named(variable)
        given |= declared.body.strings() if declared and declared.body else set()
    for name in sorted(given ^ known):
        yield f"{template.path}: {name} is {'never given' if name in known else 'not in the table'}"


def operator_can_repair(project: Project) -> Iterator[str]:
    """The operator may change all data and secrets if the parameter allows it, else nothing."""
    template = project.template("roles")
    wanted = {
        "operatorStorageRoles": {
            name for name in ROLE_IDS if name.startswith("Storage") and "Contributor" in name
        },
        "operatorVaultRoles": {"Key Vault Secrets Officer"},
    }
    for variable, roles in wanted.items():
        declared = template.named(variable)
        body = declared.body if declared else None
        if (
            body is None
            or not body.text.startswith("empty(operatorPrincipalId) ? [] :")
            or body.strings() != roles
        ):
            yield f"{template.path}: {variable} must be empty or {', '.join(sorted(roles))}"


def app_has_exactly_its_roles(project: Project) -> Iterator[str]:
    """The app gets the roles that it needs, by name, and none beside."""
    template = project.template("roles")
    roles = template.named("appStorageRoles")
    found = roles.body.strings() if roles and roles.body else set()
    for name in sorted(found ^ APP_STORAGE_ROLES):
        yield f"{template.path}: {name} is {'too much' if name in found else 'missing'} for the app"
    for assignment, role in (
        ("appOnVault", "Key Vault Secrets Officer"),
        ("appOnComponent", "Monitoring Metrics Publisher"),
    ):
        declared = template.named(assignment)
        if not declared or not declared.body or f"roleIds['{role}']" not in declared.body.text:
            yield f"{template.path}: {assignment} does not give {role}"


def schedulers_can_only_queue(project: Project) -> Iterator[str]:
    """A scheduler sends to one queue and writes to one container."""
    template = project.template("roles")
    for assignment, role in (
        ("schedulersOnOutbox", "Storage Queue Data Message Sender"),
        ("schedulersOnAttachments", "Storage Blob Data Contributor"),
    ):
        declared = template.named(assignment)
        given = declared.body.strings() & ROLE_IDS.keys() if declared and declared.body else set()
        if given != {role}:
            yield f"{template.path}: {assignment} gives {sorted(given)}, not {role}"


def assignments_have_a_scope(project: Project) -> Iterator[str]:
    """Each assignment holds for one resource, never for the whole group."""
    template = project.template("roles")
    assignments = {item.name: item for item in template.of("resource", ASSIGNMENT)}
    for name in sorted(_SCOPES.keys() ^ assignments.keys()):
        yield f"{template.path}: {name} is {'unknown' if name in assignments else 'missing'}"
    for name, item in assignments.items():
        scope = item.at("scope")
        if scope is None or scope.text != _SCOPES.get(name):
            yield f"{template.path}:{item.line} {name} holds for the wrong resource"


def assignments_can_be_repeated(project: Project) -> Iterator[str]:
    """The name is a guid over scope, principal and role, so that a new identity gets a new assignment."""
    for template in project.templates.values():
        for item in template.of("resource", ASSIGNMENT):
            yield from (
                f"{template.path}:{item.line} {item.name} {problem}" for problem in _name_problems(item)
            )


def _name_problems(item: Declaration) -> Iterator[str]:
    name, principal, role = (
        item.at("name"),
        item.at("properties.principalId"),
        item.at("properties.roleDefinitionId"),
    )
    if not (name and principal and role and name.text.startswith("guid(")):
        yield "has no name by guid()"
        return
    role_id = role.text.rpartition(", ")[2].rstrip(")")
    scope = item.at("scope")
    if (
        f", {principal.text}, {role_id})" not in name.text
        or not scope
        or f"guid({scope.text}.id," not in name.text
    ):
        yield "must be named by scope, principal and role"
    if not item.at("properties.principalType"):
        yield "does not say what kind of principal it means"


RULES = (
    role_ids_are_microsofts,
    roles_are_in_the_table,
    operator_can_repair,
    app_has_exactly_its_roles,
    schedulers_can_only_queue,
    assignments_have_a_scope,
    assignments_can_be_repeated,
)
