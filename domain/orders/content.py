"""What a company is sent of an application: the part that all companies get and its own, never what another was told."""

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

SERVICES = ("water", "power", "gas", "network")
_OTHERS = {"network": ("companies", "primary")}
"""Members of a service's block that speak of other companies: which carriers the applicant has chosen beside this one."""


def common_part(answers: Mapping[str, Any]) -> dict[str, Any]:
    """Everything but the blocks of the services, and the list of them.

    >>> common_part({"site": {"area": "420704001"}, "services": ["gas", "water"], "gas": {}, "water": {"caliber_mm": 20}})
    {'site': {'area': '420704001'}}
    """
    return {name: value for name, value in answers.items() if name not in SERVICES and name != "services"}


def own_part(answers: Mapping[str, Any], service: str) -> dict[str, Any]:
    """The block of one service.

    >>> own_part({"network": {"companies": ["telecom_cm", "telecom_cu"], "bandwidth_mbps": 500}}, "network")
    {'bandwidth_mbps': 500}
    """
    hidden = _OTHERS.get(service, ())
    return {name: value for name, value in answers.get(service, {}).items() if name not in hidden}


def corrected(answers: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """The answers with the changes of a correction, each by its pointer; a member that does not lead anywhere yet is made.

    >>> corrected({"water": {"caliber_mm": 20}}, {"/water/caliber_mm": 40, "/remark": "北门进"})
    {'water': {'caliber_mm': 40}, 'remark': '北门进'}
    """
    result: Any = deepcopy(dict(answers))
    for pointer, value in changes.items():
        *path, last = (step.replace("~1", "/").replace("~0", "~") for step in pointer.split("/")[1:])
        inner = result
        for step in path:
            inner = inner[int(step)] if isinstance(inner, list) else inner.setdefault(step, {})
        if isinstance(inner, list):
            inner[int(last)] = value
        else:
            inner[last] = value
    return result
