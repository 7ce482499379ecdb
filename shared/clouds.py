"""Define the hosts of Microsoft 365's national clouds."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Cloud:
    """Hosts of one Microsoft cloud.

    https://learn.microsoft.com/graph/deployments and, for China's sign-in host,
    https://learn.microsoft.com/entra/identity-platform/authentication-national-cloud.
    """

    authority_host: str
    graph_endpoint: str
    token_exchange_audience: str


CLOUDS: dict[str, Cloud] = {
    "global": Cloud(
        "https://login.microsoftonline.com", "https://graph.microsoft.com", "api://AzureADTokenExchange"
    ),
    "usgov": Cloud(
        "https://login.microsoftonline.us", "https://graph.microsoft.us", "api://AzureADTokenExchangeUSGov"
    ),
    "usdod": Cloud(
        "https://login.microsoftonline.us",
        "https://dod-graph.microsoft.us",
        "api://AzureADTokenExchangeUSGov",
    ),
    "china": Cloud(
        "https://login.partner.microsoftonline.cn",
        "https://microsoftgraph.chinacloudapi.cn",
        "api://AzureADTokenExchangeChina",
    ),
}
