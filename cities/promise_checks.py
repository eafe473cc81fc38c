"""What the shapes alone cannot say about ``promises.toml``: one version for every day, rising bands, working hours in order.

Raises :class:`CityPackInvalid` at the first fault.
"""

import re
from itertools import pairwise

from cities.checks import check_days
from cities.errors import CityPackInvalid
from cities.promises import CountingRule, DistanceRule, PromisesFile
from cities.staff import StaffFile

_PLACEHOLDERS: dict[str, set[str]] = {
    "promised": {"days"}, "same_day": set(), "committed": {"within", "most"}, "workday": set(), "make_up": {"name"}, "weekend": set(),
    "holiday": {"name"}, "accepted": set(), "off_accepted": set(), "after_hours": set(), "paused": {"name"},
}  # fmt: skip


def check_promises(file: str, found: PromisesFile, staff: StaffFile) -> None:
    """Every rule has one version for every day, every reason for a pause has its rule, and what is counted can be counted."""
    for name, placeholders in _PLACEHOLDERS.items():
        if set(re.findall(r"\{([^}]*)\}", getattr(found.words, name))) != placeholders:
            raise CityPackInvalid(file, f"$.words.{name}", f"has exactly the placeholders {sorted(placeholders)}")
    for name, versions in found.timelines():
        check_days(file, f"$.{name}", versions)
    for index, counting in enumerate(found.counting):
        _check_hours(file, f"$.counting[{index}].hours", counting)
    for index, distance in enumerate(found.distance):
        _check_bands(file, f"$.distance[{index}].bands", distance)
    for index, escalation in enumerate(found.escalation):
        unit = staff.unit(escalation.city_unit)
        if unit is None or unit.kind not in ("city", "bureau"):
            raise CityPackInvalid(file, f"$.escalation[{index}].city_unit", "is a bureau's, or the city's own unit")
    for index, permit in enumerate(found.permit):
        bureau = staff.unit(permit.unit)
        if bureau is None or bureau.kind != "bureau":
            raise CityPackInvalid(file, f"$.permit[{index}].unit", f"there is no bureau {permit.unit}")
    for index, commitment in enumerate(found.commitment):
        longest = max(band.days for rule in found.distance for band in rule.bands)
        if commitment.most_days <= longest:
            raise CityPackInvalid(file, f"$.commitment[{index}].most_days", f"is more than {longest}, the last band's")


def _check_hours(file: str, path: str, rule: CountingRule) -> None:
    edges = [edge for span in rule.hours for edge in span]
    if any(later <= earlier for earlier, later in pairwise(edges)):
        raise CityPackInvalid(file, path, "hours are spans of a day, one after the other")


def _check_bands(file: str, path: str, rule: DistanceRule) -> None:
    codes = [band.code for band in rule.bands]
    if len(set(codes)) != len(codes):
        raise CityPackInvalid(file, path, "two bands have one code")
    for nearer, farther in pairwise(rule.bands):
        if farther.up_to_m <= nearer.up_to_m or farther.days < nearer.days:
            raise CityPackInvalid(file, path, "farther bands reach further and are never quicker")
