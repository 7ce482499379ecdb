"""The whole app on one machine: Azurite, a Functions host, a fake Microsoft 365 and a fake Key Vault."""
