"""Storage, vault and network: locked as intended, with all that is used."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from shared.storage_names import CONTAINERS, QUEUES, TABLES
from tests.infra.changes import file, predicted, template
from tests.infra.prediction import at

if TYPE_CHECKING:
    from tests.infra.bicep import Bicep
    from tests.infra.prediction import Prediction
    from tests.infra.project import Project

STORAGE = "modules/storage.bicep"
ACCOUNT_FILE = "modules/storage-account.bicep"
VAULT = "modules/vault.bicep"
NETWORK = "modules/network.bicep"
ACCOUNT = "Microsoft.Storage/storageAccounts"
KEY_VAULT = "Microsoft.KeyVault/vaults"


@pytest.mark.fails_when(
    predicted('"allowSharedKeyAccess": false', '"allowSharedKeyAccess": true'),
    predicted('"minimumTlsVersion": "TLS1_2",', ""),
    template(ACCOUNT_FILE, "allowSharedKeyAccess: false", "allowSharedKeyAccess: true"),
    template(ACCOUNT_FILE, "    minimumTlsVersion: 'TLS1_2'\n", ""),
    template(ACCOUNT_FILE, "allowBlobPublicAccess: false", "allowBlobPublicAccess: true"),
    template(ACCOUNT_FILE, "allowCrossTenantReplication: false", "allowCrossTenantReplication: true"),
    template(ACCOUNT_FILE, "supportsHttpsTrafficOnly: true", "supportsHttpsTrafficOnly: false"),
)
def test_storage_takes_no_account_key_no_anonymous_reader_and_no_old_tls(project: Project) -> None:
    for azure in project.predictions.values():
        assert (
            azure.one(ACCOUNT)["properties"].items()
            >= {
                "allowSharedKeyAccess": False,
                "allowBlobPublicAccess": False,
                "allowCrossTenantReplication": False,
                "defaultToOAuthAuthentication": True,
                "minimumTlsVersion": "TLS1_2",
                "supportsHttpsTrafficOnly": True,
            }.items()
        )


@pytest.mark.fails_when(
    predicted('"publicAccess": "None"', '"publicAccess": "Blob"'),
    template(STORAGE, "publicAccess: 'None'", "publicAccess: 'Blob'"),
)
def test_containers_are_private(project: Project) -> None:
    for azure in project.predictions.values():
        containers = azure.all(f"{ACCOUNT}/blobServices/containers")
        assert {at(container, "properties.publicAccess") for container in containers} == {"None"}


@pytest.mark.fails_when(
    predicted('"deleteRetentionPolicy": {\n          "enabled": true', '"deleteRetentionPolicy": {\n "a": 1'),
    template(
        STORAGE, " containerDeleteRetentionPolicy: { enabled: true,", " containerDeleteRetentionPolicy: {"
    ),
)
def test_deleted_files_can_be_restored(project: Project) -> None:
    for azure in project.predictions.values():
        service = azure.one(f"{ACCOUNT}/blobServices")
        for policy in ("deleteRetentionPolicy", "containerDeleteRetentionPolicy"):
            assert at(service, f"properties.{policy}.enabled") is True
            assert at(service, f"properties.{policy}.days") >= 7


@pytest.mark.fails_when(
    predicted('"daysAfterModificationGreaterThan": 120', '"daysAfterModificationGreaterThan": 90'),
    predicted('"attachments/"', '"attachment/"'),
    predicted('"type": "Lifecycle"', '"type": "Other"'),
    template(STORAGE, "deliveryRetentionDays + 30", "deliveryRetentionDays"),
    template(STORAGE, "'attachments/'", "'attachment/'"),
    template(
        STORAGE, "enabled: true\n          type: 'Lifecycle'", "enabled: false\n          type: 'Lifecycle'"
    ),
)
def test_old_files_are_removed_and_a_stored_mail_outlives_its_delivery(project: Project) -> None:
    """A mail whose file is gone before its row could not be sent again."""
    for azure in project.predictions.values():
        rules = at(azure.one(f"{ACCOUNT}/managementPolicies"), "properties.policy.rules")
        kept = int(azure.settings["DELIVERY_RETENTION_DAYS"])
        assert {
            prefix: at(rule, "definition.actions.baseBlob.delete.daysAfterModificationGreaterThan")
            for rule in rules
            for prefix in at(rule, "definition.filters.prefixMatch")
            if rule["enabled"] is True and rule["type"] == "Lifecycle"
        } == {"attachments/": 30, "mail-requests/": kept + 30}


@pytest.mark.fails_when(
    predicted('/default/mail-outbox"', '/default/mail-outbx"'),
    predicted('/default/Deliveries"', '/default/Delivery"'),
    predicted('/default/mail-requests"', '/default/requests"'),
    template(STORAGE, "'mail-outbox', ", "'mail-outbx', "),
    template(STORAGE, "'Deliveries'", "'Delivery'"),
    template(STORAGE, "'mail-requests']", "'mail-requests', 'spare']"),
    template(STORAGE, "'mail-outbox-poison'", "'mail-outbox-dead'"),
    template(STORAGE, "concat(queueNames, outcomeQueueNames)", "queueNames", "several-tenants"),
    predicted('"OUTCOME_QUEUES": "mail-outcomes,', '"OUTCOME_QUEUES": "', "several-tenants"),
)
def test_storage_has_the_queues_tables_and_containers_of_the_code(project: Project) -> None:
    """The app creates none itself."""
    for azure in project.predictions.values():
        outcomes = filter(None, azure.settings["OUTCOME_QUEUES"].split(","))
        for kind, wanted in (
            ("queueServices/queues", {*QUEUES, *outcomes}),
            ("tableServices/tables", set(TABLES)),
            ("blobServices/containers", {*CONTAINERS, "app-package"}),
        ):
            found = azure.all(f"{ACCOUNT}/{kind}")
            assert sorted(item["name"].rpartition("/")[2] for item in found) == sorted(wanted)


@pytest.mark.fails_when(
    predicted('/default/mail-outbox-poison"', '/default/mail-outbox-dead"'),
    template(STORAGE, "['mail-outbox', 'mail-outbox-poison']", "['mail-outbox']"),
)
def test_each_queue_of_a_function_has_a_poison_queue(project: Project) -> None:
    """The host moves failed messages to `<queue>-poison`.

    Schedulers read the other queues.
    """
    for azure in project.predictions.values():
        queues = azure.all(f"{ACCOUNT}/queueServices/queues")
        names = {queue["name"].rpartition("/")[2] for queue in queues}
        of_functions = names - set(azure.settings["OUTCOME_QUEUES"].split(","))
        assert {f"{name}-poison" for name in of_functions if not name.endswith("-poison")} <= names


@pytest.mark.fails_when(
    predicted('"enableRbacAuthorization": true', '"enableRbacAuthorization": false'),
    predicted('"enablePurgeProtection": true', '"enablePurgeProtection": null'),
    template(VAULT, "enableRbacAuthorization: true", "enableRbacAuthorization: false"),
    template(VAULT, "enableSoftDelete: true", "enableSoftDelete: false"),
    template("main.bicep", "protectVaultFromPurge bool = true", "protectVaultFromPurge bool = false"),
)
def test_the_vault_uses_only_roles_and_retains_deleted_secrets(project: Project) -> None:
    for azure in project.predictions.values():
        assert (
            azure.one(KEY_VAULT)["properties"].items()
            >= {
                "enableRbacAuthorization": True,
                "enableSoftDelete": True,
                "softDeleteRetentionInDays": 7,
                "enablePurgeProtection": True,
            }.items()
        )


@pytest.mark.fails_when(file("infra/modules/vault.bicep", "? true : null", "? true : false"))
def test_purge_protection_is_never_false(project: Project, bicep: Bicep) -> None:
    """Azure rejects an explicit false."""
    without = project.with_parameters("defaults", protectVaultFromPurge="false")
    azure = without.predicted_again(bicep, "defaults").predictions["defaults"]

    assert azure.one(KEY_VAULT)["properties"].get("enablePurgeProtection") is None


def network_access(azure: Prediction) -> list[tuple[str, str, list[str]]]:
    """Public access, default action and open addresses of storage and vault."""
    return [
        (
            at(resource, "properties.publicNetworkAccess"),
            at(resource, "properties.networkAcls.defaultAction"),
            [rule["value"] for rule in at(resource, "properties.networkAcls.ipRules")],
        )
        for resource in (azure.one(ACCOUNT), azure.one(KEY_VAULT))
    ]


@pytest.mark.fails_when(
    predicted('"defaultAction": "Deny"', '"defaultAction": "Allow"', "private-network"),
    predicted('"value": "198.51.100.0/24"', '"value": "0.0.0.0/0"', "private-network"),
    predicted('"publicNetworkAccess": "Enabled"', '"publicNetworkAccess": "Disabled"'),
    template(ACCOUNT_FILE, "? 'Deny' : 'Allow'", "? 'Allow' : 'Allow'", "private-network"),
    template(VAULT, "? 'Deny' : 'Allow'", "? 'Allow' : 'Deny'"),
)
def test_a_closed_account_and_vault_admit_only_the_allowed_addresses(project: Project) -> None:
    allowed = ["203.0.113.7", "198.51.100.0/24"]
    for azure in project.predictions.values():
        closed = azure.name == "private-network"
        assert (
            network_access(azure)
            == [("Enabled", "Deny", allowed) if closed else ("Enabled", "Allow", [])] * 2
        )


@pytest.mark.fails_when(
    file("infra/modules/storage-account.bicep", "? 'Disabled' : 'Enabled'", "? 'Enabled' : 'Enabled'"),
    file("infra/modules/vault.bicep", "? 'Disabled' : 'Enabled'", "? 'Enabled' : 'Enabled'"),
)
def test_without_allowed_addresses_public_access_is_off(project: Project, bicep: Bicep) -> None:
    alone = project.with_parameters("private-network", allowedIpAddresses="''")
    azure = alone.predicted_again(bicep, "private-network").predictions["private-network"]

    assert network_access(azure) == [("Disabled", "Deny", [])] * 2


@pytest.mark.fails_when(
    predicted('"serviceName": "Microsoft.App/environments"', '"serviceName": "x"', "private-network"),
    predicted('"addressPrefix": "10.20.0.128/25"', '"addressPrefix": "10.20.0.0/25"', "private-network"),
    template(NETWORK, "'Microsoft.App/environments'", "'Microsoft.Web/serverFarms'", "private-network"),
    template(
        NETWORK, "cidrSubnet(addressPrefix, 25, 1)", "cidrSubnet(addressPrefix, 26, 1)", "private-network"
    ),
)
def test_the_private_network_has_a_subnet_for_the_app_and_for_endpoints(project: Project) -> None:
    """Flex Consumption needs this delegation and no underscore in the name."""
    network = project.predictions["private-network"].one("Microsoft.Network/virtualNetworks")

    assert [
        (
            subnet["name"],
            at(subnet, "properties.addressPrefix"),
            [at(item, "properties.serviceName") for item in at(subnet, "properties.delegations") or []],
        )
        for subnet in network["properties"]["subnets"]
    ] == [
        ("app", "10.20.0.0/25", ["Microsoft.App/environments"]),
        ("endpoints", "10.20.0.128/25", []),
    ]


@pytest.mark.fails_when(
    predicted('"virtualNetworkSubnetId": "', '"virtualNetworkSubnetId": "x', "private-network"),
    predicted('"virtualNetworkSubnetId": null', '"virtualNetworkSubnetId": "x"'),
    template(NETWORK, "/subnets/app'", "/subnets/endpoints'", "private-network"),
)
def test_the_app_calls_out_through_its_subnet(project: Project) -> None:
    for azure in project.predictions.values():
        subnet = at(azure.one("Microsoft.Web/sites"), "properties.virtualNetworkSubnetId")
        networks = [network["id"] for network in azure.all("Microsoft.Network/virtualNetworks")]
        assert subnet == (f"{networks[0]}/subnets/app" if azure.name == "private-network" else None)


@pytest.mark.fails_when(
    predicted(
        '"groupIds": [\n                "table"', '"groupIds": [\n                "tables"', "private-network"
    ),
    predicted('"name": "[format(\'{0}/{1}\'', '"name": "[format(\'{0}-{1}\'', "private-network"),
    predicted('"privateDnsZoneId": "[resourceId(', '"zoneId": "[resourceId(', "private-network"),
    template(NETWORK, "privatelink.table.", "privatelink.tables.", "private-network"),
    template(
        NETWORK, "name: 'queue', target: storageId", "name: 'queue', target: vaultId", "private-network"
    ),
    template(NETWORK, "privateDnsZoneId: zones[i].id", "privateDnsZoneId: zones[0].id", "private-network"),
    template(NETWORK, "'.vaultcore.'", "'.vaults.'", "private-network"),
)
def test_blob_queue_table_and_vault_have_an_endpoint_and_a_zone(project: Project) -> None:
    azure = project.predictions["private-network"]
    account, vault = azure.one(ACCOUNT)["id"], azure.one(KEY_VAULT)["id"]
    vault_zone = (
        "format('privatelink{0}', replace(environment().suffixes.keyvaultDns, '.vault.', '.vaultcore.'))"
    )
    zones = {
        "vault": vault_zone,
        **{
            kind: f"format('privatelink.{kind}.{{0}}', environment().suffixes.storage)"
            for kind in ("blob", "queue", "table")
        },
    }
    zone_type = "Microsoft.Network/privateDnsZones"
    link = f"to-{azure.one('Microsoft.Network/virtualNetworks')['name']}"
    for kind, zone in zones.items():
        endpoint = azure.one("Microsoft.Network/privateEndpoints", f"pep-mailer-{kind}")
        connection = endpoint["properties"]["privateLinkServiceConnections"][0]["properties"]
        target = vault if kind == "vault" else account
        assert connection == {"privateLinkServiceId": target, "groupIds": [kind]}
        azure.one(f"{zone_type}/virtualNetworkLinks", f"[format('{{0}}/{{1}}', {zone}, '{link}')]")
        group = azure.one(
            "Microsoft.Network/privateEndpoints/privateDnsZoneGroups", f"{endpoint['name']}/default"
        )
        assert group["properties"]["privateDnsZoneConfigs"] == [
            {"name": kind, "properties": {"privateDnsZoneId": azure.one(zone_type, f"[{zone}]")["id"]}}
        ]
