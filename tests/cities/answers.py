"""Answers to Ezhou's application form that have nothing wrong with them, and copies with one thing changed."""

from copy import deepcopy
from typing import Any

PERSON: dict[str, Any] = {
    "applicant": {"kind": "person", "name": "张三", "id_number": "11010519491231002X"},
    "contact": {"name": "张三", "mobile": "13812345678"},
    "services": ["water", "network"],
    "term": "permanent",
    "site": {"area": "420704001", "address": "滨湖南路18号3栋201", "right": "owner"},
    "water": {"use": "resident"},
    "network": {"companies": ["telecom_cm", "telecom_ct"], "primary": "telecom_ct", "product": "ftth", "bandwidth_mbps": 300},
}  # fmt: skip
"""A household: water and network."""

FACTORY: dict[str, Any] = {
    "applicant": {"kind": "enterprise", "name": "鄂州示范制造有限公司", "credit_code": "91350100M000100Y43", "legal_representative": "李四"},
    "agent": {"name": "王五", "id_number": "11010519491231002X"},
    "contact": {"name": "王五", "mobile": "13912345678"},
    "services": ["water", "power", "gas", "network"],
    "term": "permanent",
    "site": {"area": "420703400", "address": "创业大道8号", "right": "developer", "planned_start": "2026-03-01", "planned_on": "2026-12-01"},
    "project": {
        "name": "示范厂房", "code": "2301-420703-04-01-123456", "usage": "industrial", "floor_area_m2": 10000, "height_m": 24, "hazardous": False,
        "low_risk": True,
    },
    "water": {"use": "business", "caliber_mm": 80, "distance_m": 420},
    "power": {
        "business": "new", "use": "business", "voltage": "10kv", "applied_kw": 180, "applied_kva": 200, "supply": "single", "load_class": "third",
        "important": "none", "devices": [{"name": "机床", "quantity": 3, "kw": 30.5}], "distance_m": 420,
    },
    "gas": {"use": "industrial", "devices": [{"name": "锅炉", "quantity": 1}], "ventilated": True, "distance_m": 420},
    "network": {"companies": ["telecom_cu"], "primary": "telecom_cu", "product": "dedicated", "bandwidth_mbps": 1000},
}  # fmt: skip
"""A factory of 180 kW at 420 m: everything."""


def changed(answers: dict[str, Any], pointer: str, value: Any) -> dict[str, Any]:
    """A copy with `value` at `pointer`; `...` takes away what is there."""
    copy: Any = deepcopy(answers)
    *way, last = [int(step) if step.isdecimal() else step for step in pointer.split("/")[1:]]
    place = copy
    for step in way:
        place = place[step]
    if value is ...:
        del place[last]
    else:
        place[last] = value
    return copy
