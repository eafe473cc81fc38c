"""What the shapes alone cannot say about tariffs: known companies, rising tiers, whole days, names that tell lines apart.

Raises :class:`CityPackInvalid` at the first fault.
"""

from collections import Counter
from collections.abc import Iterable
from decimal import Decimal
from itertools import pairwise

from cities.checks import check_days, unique
from cities.companies import CompaniesFile
from cities.errors import CityPackInvalid
from cities.tariffs import LateFeeRule, Line, Tariff, TariffsFile, TieredLine, TimeOfUseLine, hours_of

HIGHEST_PER_MILLE = Decimal(10)
"""No rule known to us charges more than one per cent a day."""
DEMO_WORD = "演示"


def check_tariffs(file: str, companies: CompaniesFile, found: TariffsFile) -> None:
    """Every class of a company has one version for every day, and each version can be computed."""
    known = {company.code for company in companies.companies}
    versions: dict[tuple[str, str], list[Tariff]] = {}
    for index, tariff in enumerate(found.tariffs):
        path = f"$.tariffs[{index}]"
        if tariff.company not in known:
            raise CityPackInvalid(file, f"{path}.company", f"the city has no company {tariff.company}")
        _check_tariff(file, path, tariff)
        versions.setdefault((tariff.company, tariff.user_class), []).append(tariff)
    for (company, user_class), timeline in versions.items():
        check_days(file, f"$.tariffs ({company}, {user_class})", timeline)
    standard = Counter(
        company for (company, _), timeline in versions.items() if any(each.standard for each in timeline)
    )
    for company, count in standard.items():
        if count > 1:
            raise CityPackInvalid(file, "$.tariffs", f"{company} has {count} standard classes: which one is assumed?")


def _check_tariff(file: str, path: str, tariff: Tariff) -> None:
    if tariff.demo != (DEMO_WORD in tariff.source):
        raise CityPackInvalid(file, f"{path}.demo", f"prices are invented exactly when the source says {DEMO_WORD}")
    unique(file, path + ".lines", (name for line in tariff.lines for name in _names(line)))
    _check_ladder(file, f"{path}.ladder", tariff)
    for index, line in enumerate(tariff.lines):
        at = f"{path}.lines[{index}]"
        if isinstance(line, TieredLine):
            _check_tiers(file, at, tariff, line)
        elif isinstance(line, TimeOfUseLine):
            _check_day(file, at, line)
    if tariff.late_fee is not None:
        _check_late_fee(file, f"{path}.late_fee", tariff.late_fee)


def _names(line: Line) -> Iterable[str]:
    yield from (line.name, *line.also)
    if isinstance(line, TieredLine):
        for part in line.parts:
            yield from part
    elif isinstance(line, TimeOfUseLine):
        for part in line.parts:
            yield from (part.name, *part.also)


def _check_ladder(file: str, path: str, tariff: Tariff) -> None:
    ladder = tariff.ladder
    if ladder is None:
        if any(isinstance(line, TieredLine) for line in tariff.lines):
            raise CityPackInvalid(file, path, "a tiered line needs a ladder")
        return
    if len(ladder.names) != len(ladder.limits) + 1:
        raise CityPackInvalid(file, f"{path}.names", "every tier has a name, and every tier but the last a limit")
    limits = [Decimal(limit) for limit in ladder.limits]
    if limits[0] <= 0 or any(later <= earlier for earlier, later in pairwise(limits)):
        raise CityPackInvalid(file, f"{path}.limits", "limits rise, from above 0")
    if ladder.household is None or not ladder.household.each:
        return
    each = [Decimal(more) for more in ladder.household.each]
    if len(each) != len(limits) or any(later < earlier for earlier, later in pairwise(each)):
        raise CityPackInvalid(
            file,
            f"{path}.household.each",
            "what a person adds is given for each limit and never falls: limits must rise",
        )


def _check_tiers(file: str, path: str, tariff: Tariff, line: TieredLine) -> None:
    assert tariff.ladder is not None
    tiers = len(tariff.ladder.names)
    if len(line.prices) != tiers:
        raise CityPackInvalid(file, f"{path}.prices", f"there are {tiers} tiers")
    prices = [Decimal(price) for price in line.prices]
    if any(later < earlier for earlier, later in pairwise(prices)):
        raise CityPackInvalid(file, f"{path}.prices", "a higher tier is never cheaper")
    if line.parts and len(line.parts) != tiers:
        raise CityPackInvalid(file, f"{path}.parts", f"there are {tiers} tiers: names for each, or for none")


def _check_day(file: str, path: str, line: TimeOfUseLine) -> None:
    for index, part in enumerate(line.parts):
        if bool(part.other_months) != bool(part.other_hours):
            raise CityPackInvalid(file, f"{path}.parts[{index}]", "other_months and other_hours belong together")
    for month in range(1, 13):
        try:
            hours = Counter(hour for part in line.parts for text in part.hours_in(month) for hour in hours_of(text))
        except ValueError as error:
            raise CityPackInvalid(file, f"{path}.parts", str(error)) from error
        wrong = [hour for hour in range(24) if hours[hour] != 1]
        if wrong:
            raise CityPackInvalid(
                file, f"{path}.parts", f"in month {month} hour {wrong[0]} has {hours[wrong[0]]} prices"
            )


def _check_late_fee(file: str, path: str, rule: LateFeeRule) -> None:
    later_year = rule.later_year_per_mille if rule.later_year_per_mille is not None else rule.per_mille
    if not 0 < Decimal(rule.per_mille) <= Decimal(later_year) <= HIGHEST_PER_MILLE:
        raise CityPackInvalid(file, f"{path}.per_mille", "above 0, never less in a later year, and at most 10 a day")
