"""What the shape alone cannot say about ``materials.toml``: papers exist, conditions speak of the form's fields, the words are whole."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import timedelta
from string import Formatter

from cities.checks import check_days, unique
from cities.errors import CityPackInvalid
from cities.forms import Form
from cities.materials import MaterialsFile, Requirement

LONGEST_LINK = timedelta(minutes=5)
_WORDS = ["consequence", "due_on", "papers"]


def check_materials(file: str, found: MaterialsFile, forms: Sequence[Form]) -> None:
    """Raises :class:`CityPackInvalid` at the first fault. `forms` are the versions of the application form."""
    for name, rules in (("upload", found.upload), ("tolerance", found.tolerance), ("credit", found.credit)):
        check_days(file, f"$.{name}", rules)
    for index, rule in enumerate(found.upload):
        if rule.link_life > LONGEST_LINK:
            raise CityPackInvalid(file, f"$.upload[{index}].link_life", "a link works for at most 5m")
    for index, rule in enumerate(found.tolerance):
        words = sorted(name for _, name, _, _ in Formatter().parse("\n".join(rule.statement)) if name is not None)
        if words != _WORDS:
            raise CityPackInvalid(file, f"$.tolerance[{index}].statement", f"holds {', '.join(_WORDS)}, each once")
        if rule.remind_days > rule.longest_days:
            raise CityPackInvalid(file, f"$.tolerance[{index}].remind_days", "nobody is reminded before he promised")
    unique(file, "$.papers[{}].code", (paper.code for paper in found.papers))
    unique(file, "$.papers[{}].name", (paper.name for paper in found.papers))
    versions: defaultdict[str, list[Requirement]] = defaultdict(list)
    for index, rule in enumerate(found.requirements):
        path = f"$.requirements[{index}]"
        if found.paper(rule.paper) is None:
            raise CityPackInvalid(file, f"{path}.paper", f"there is no paper {rule.paper}")
        for pointer in (*rule.when, *rule.present):
            _check_pointer(file, path, rule, pointer, forms)
        versions[rule.code].append(rule)
    for rules in versions.values():
        check_days(file, "$.requirements", rules)


def _check_pointer(file: str, path: str, rule: Requirement, pointer: str, forms: Sequence[Form]) -> None:
    fields = [field for form in forms if (field := form.field(pointer)) is not None]
    if not fields:
        raise CityPackInvalid(file, path, f"no form has a field {pointer}")
    offered = {repr(choice["const"]) for field in fields for choice in field.get("oneOf", ())}
    for value in rule.when.get(pointer, ()):
        if offered and repr(value) not in offered:
            raise CityPackInvalid(file, path, f"{value} is no choice of {pointer}")
