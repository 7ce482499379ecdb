"""Read proxies and certificate authorities as `requests` does."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import requests
from requests.adapters import DEFAULT_CA_BUNDLE_PATH

from shared.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

_PROXY_VARIABLES = "HTTPS_PROXY or ALL_PROXY"
_BUNDLE_VARIABLES = "REQUESTS_CA_BUNDLE or CURL_CA_BUNDLE"


def _environment_of(url: str) -> Mapping[str, Any]:
    """Read proxies and certificate authorities as `requests` does."""
    session = requests.Session()
    return dict(session.merge_environment_settings(url, {}, stream=False, verify=True, cert=None))


def proxies_of(host: str) -> dict[str, str]:
    """Return the proxies for a host.

    A proxy without a scheme gets `http://`, because `requests` would take the user name in
    `user:password@host` for the scheme.

    Raises:
        ConfigurationError: `setting_invalid`.
    """
    found = _environment_of(f"https://{host}")["proxies"].items()
    proxies = {scheme: proxy if "://" in proxy else f"http://{proxy}" for scheme, proxy in found}
    for scheme in ("https", "all"):
        parts = urlsplit(proxies.get(scheme, "http://none"))
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ConfigurationError(
                "setting_invalid",
                setting=_PROXY_VARIABLES,
                reason="name an http or https proxy, for example http://proxy.contoso.com:8080",
            )
    return proxies


def tls_context() -> ssl.SSLContext:
    """Return the TLS configuration with the environment's authorities.

    Raises:
        ConfigurationError: `setting_invalid`.
    """
    bundle = _environment_of("https://")["verify"]
    path = bundle if isinstance(bundle, str) else DEFAULT_CA_BUNDLE_PATH
    try:
        if Path(path).is_dir():
            return ssl.create_default_context(capath=path)
        return ssl.create_default_context(cafile=path)
    except OSError as error:
        raise ConfigurationError(
            "setting_invalid",
            setting=_BUNDLE_VARIABLES,
            reason="name a readable PEM file with certificate authorities, or a folder of them",
        ) from error
