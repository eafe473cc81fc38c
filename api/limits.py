"""How often one may call: each caller, else each device, and, much wider, each address.

Whole quarters of a city stand behind one address of a mobile carrier (carrier-grade NAT, RFC 6888), so an address says nearly nothing
about who calls. What is guarded against guessing has limits of its own: by login name, by phone number, by person.
"""

import ipaddress
from datetime import timedelta
from typing import NamedTuple

from api.calls import Call, Limit, Route
from core.crypto import Vault

_MINUTE = timedelta(minutes=1)
_IPV6_HOME_BITS = 64
"""What one connection gets of IPv6: all its addresses count as one (RFC 6177)."""


class Counted(NamedTuple):
    """Under `key` at most `most` tries in a `window`."""

    key: str
    most: int
    window: timedelta = _MINUTE


def by_caller(route: Route, limit: Limit, call: Call, vault: Vault, address_factor: int) -> Counted:
    """What a call counts as before its body is looked at: its caller's, or where nobody is logged in its address's."""
    if call.caller_id is not None:
        return Counted(f"call:{route.name}:{call.caller_id}", limit.count)
    place = vault.index("limit.address", _home(call.client_ip)).hex()[:32]
    return Counted(f"call:{route.name}:address:{place}", limit.count * address_factor)


def by_device(route: Route, limit: Limit, call: Call, vault: Vault) -> Counted | None:
    """What a call of nobody known counts as besides: the device's that it names, if any."""
    device: str | None = getattr(call.body, "client_id", None)
    if call.caller_id is not None or device is None:
        return None
    return Counted(f"call:{route.name}:device:{vault.index('limit.device', device).hex()[:32]}", limit.count)


def _home(address: str) -> str:
    """
    >>> _home("203.0.113.7"), _home("2001:db8:1:2:3::4"), _home("no address")
    ('203.0.113.7', '2001:db8:1:2::', 'no address')
    """
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address
    if found.version == 4:
        return address
    return str(ipaddress.ip_network((found, _IPV6_HOME_BITS), strict=False).network_address)
