"""What is locked stays locked: storage, vault and network."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.infra.expectation import expect

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.infra.project import Project

ACCOUNT = "Microsoft.Storage/storageAccounts"
VAULT = "Microsoft.KeyVault/vaults"


def storage_is_locked(project: Project) -> Iterator[str]:
    """Storage takes no account key, no anonymous reader, no old TLS, and copies to no other tenant."""
    wanted = {
        "properties.allowSharedKeyAccess": "false",
        "properties.allowBlobPublicAccess": "false",
        "properties.allowCrossTenantReplication": "false",
        "properties.defaultToOAuthAuthentication": "true",
        "properties.minimumTlsVersion": "TLS1_2",
        "properties.supportsHttpsTrafficOnly": "true",
    }
    yield from expect(project, "storage", ACCOUNT, wanted)


def containers_are_private(project: Project) -> Iterator[str]:
    """No container can be read without a token."""
    target = f"{ACCOUNT}/blobServices/containers"
    yield from expect(project, "storage", target, {"properties.publicAccess": "None"})


def deleted_files_can_be_restored(project: Project) -> Iterator[str]:
    """Blobs and containers stay recoverable for a while."""
    wanted = {
        "properties.deleteRetentionPolicy.enabled": "true",
        "properties.containerDeleteRetentionPolicy.enabled": "true",
    }
    yield from expect(project, "storage", f"{ACCOUNT}/blobServices", wanted)


def old_files_are_removed(project: Project) -> Iterator[str]:
    """A lifecycle rule empties each container that holds mail, and a kept request outlives its row."""
    policies = project.template("storage").of("resource", f"{ACCOUNT}/managementPolicies")
    text = "".join(policy.body.text for policy in policies if policy.body)
    for container, days in (
        ("attachments", "attachmentRetentionDays"),
        ("mail-requests", "deliveryRetentionDays + "),
    ):
        if f"'{container}/'" not in text or f"daysAfterModificationGreaterThan: {days}" not in text:
            yield f"infra/modules/storage.bicep: no lifecycle rule removes {container} after {days}"


def lifecycle_rules_are_on(project: Project) -> Iterator[str]:
    """Each lifecycle rule is switched on."""
    for policy in project.template("storage").of("resource", f"{ACCOUNT}/managementPolicies"):
        rules = policy.at("properties.policy.rules")
        for rule in rules.parts if rules else ():
            enabled = rule.at("enabled")
            if enabled is None or enabled.text != "true":
                yield f"infra/modules/storage.bicep:{rule.line} the rule is off"


def vault_is_locked(project: Project) -> Iterator[str]:
    """The vault knows roles alone, keeps what was deleted, and never says false to purge protection."""
    wanted = {
        "properties.enableRbacAuthorization": "true",
        "properties.enableSoftDelete": "true",
        "properties.enablePurgeProtection": "protectFromPurge ? true : null",
    }
    yield from expect(project, "vault", VAULT, wanted)
    parameter = project.main.named("protectVaultFromPurge")
    if parameter is None or parameter.body is None or parameter.body.text != "true":
        yield "infra/main.bicep: purge protection must be the default"


def closed_means_closed(project: Project) -> Iterator[str]:
    """With a network of its own, storage and vault refuse everybody else."""
    wanted = {
        "properties.networkAcls.defaultAction": "closedToTheInternet ? 'Deny' : 'Allow'",
        "properties.publicNetworkAccess": (
            "closedToTheInternet && empty(allowedIpAddresses) ? 'Disabled' : 'Enabled'"
        ),
    }
    yield from expect(project, "storage", ACCOUNT, wanted)
    yield from expect(project, "vault", VAULT, wanted)


def private_network_covers_everything(project: Project) -> Iterator[str]:
    """Blob, queue, table and vault each have an endpoint and a zone, and the app's subnet is delegated."""
    template = project.template("network")
    variable = template.named("endpoints")
    entries = variable.body.parts if variable and variable.body else ()
    found = {
        name.text: zone.text for item in entries if (name := item.at("name")) and (zone := item.at("zone"))
    }
    wanted = {
        kind: f"privatelink.{kind}.${{environment().suffixes.storage}}" for kind in ("blob", "queue", "table")
    }
    wanted["vault"] = "privatelink${replace(environment().suffixes.keyvaultDns, '.vault.', '.vaultcore.')}"
    if found != wanted:
        yield f"{template.path}: the endpoints are {found}"
    text = project.files[template.path]
    for piece in (
        "delegations: [ { name: 'flex', properties: { serviceName: 'Microsoft.App/environments' } } ]",
        "name: 'app'\n",
        "name: 'endpoints'\n",
        "addressPrefix: cidrSubnet(addressPrefix, 25, 0)",
        "addressPrefix: cidrSubnet(addressPrefix, 25, 1)",
    ):
        if piece not in text:
            yield f"{template.path}: {piece.strip()} is missing"


RULES = (
    storage_is_locked,
    containers_are_private,
    deleted_files_can_be_restored,
    old_files_are_removed,
    lifecycle_rules_are_on,
    vault_is_locked,
    closed_means_closed,
    private_network_covers_everything,
)
