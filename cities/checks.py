"""What the shapes alone cannot say about a pack: references, uniqueness, patterns, days, texts within WeChat's limits.

Every function raises :class:`CityPackInvalid` at the first fault it finds.
"""

import re
from collections.abc import Iterable, Sequence
from datetime import timedelta
from itertools import pairwise

from cities.companies import AccountFormat, CompaniesFile, Company, Proof
from cities.errors import CityPackInvalid
from cities.paying import BillFileRule, MandateRule, MessageRule, OrderRule, PaymentsFile
from cities.schema import AreasFile, CityFile
from cities.shapes import Duration, Rule

SHORTEST_QUOTE = timedelta(minutes=2)
"""The company gateway protocol allows a quote to live 2 to 30 minutes."""
SHORTEST_PROVIDER_ORDER = timedelta(minutes=1)
"""WeChat Pay wants the end of an order at least a minute ahead."""
LONGEST_PROVIDER_ORDER = timedelta(hours=2)
"""A WeChat Pay prepay id lives two hours."""
LONGEST_TIMEOUT = timedelta(seconds=30)
LONGEST_LOOK_BACK = timedelta(days=80)
"""WeChat Pay keeps its bills for three months."""
LONGEST_RECEIPT = timedelta(hours=24)
"""WeChat's receipts come within a day; `lianban check` calls a message without an end overdue an hour later."""

LONGEST_FILE_LOOK_BACK = timedelta(days=31)

_LEVELS = {"street": "0", "town": "1", "township": "23", "functional": "45"}
_FULL_WIDTH = str.maketrans("0123456789", "０１２３４５６７８９")


def check_areas(file: str, city: CityFile, found: AreasFile) -> None:
    """Districts belong to the city, all else to a district, and codes say so (the 7th digit tells the level)."""
    unique(file, "$.areas[{}].code", (area.code for area in found.areas))
    unique(file, "$.areas[{}].name", (f"{area.parent} {area.name}" for area in found.areas))
    districts = {area.code for area in found.areas if area.kind == "district"}
    for index, area in enumerate(found.areas):
        path = f"$.areas[{index}]"
        if area.kind == "district":
            if area.parent != city.area_code:
                raise CityPackInvalid(
                    file, f"{path}.parent", f"a district belongs to the city {city.area_code}, not to {area.parent}"
                )
            if len(area.code) != 6 or area.code[:4] != city.area_code[:4]:
                raise CityPackInvalid(file, f"{path}.code", f"{area.code} is no district code of {city.area_code}")
            continue
        if area.parent not in districts:
            raise CityPackInvalid(file, f"{path}.parent", f"there is no district {area.parent}")
        if len(area.code) != 9 or not area.code.startswith(area.parent):
            raise CityPackInvalid(file, f"{path}.code", f"{area.code} does not lie in {area.parent}")
        if area.code[6] not in _LEVELS[area.kind]:
            raise CityPackInvalid(file, f"{path}.kind", f"{area.code} is no code of a {area.kind}")


def check_companies(file: str, found: CompaniesFile) -> None:
    """Codes, names and merchant numbers are unique; formats are safe, anchored and fit their examples."""
    every = found.companies
    unique(file, "$.companies[{}].code", (company.code for company in every))
    unique(file, "$.companies[{}].name", (company.name for company in every))
    unique(file, "$.companies[{}].short_name", (company.short_name for company in every))
    unique(file, "$.companies[{}].sub_mchid", (company.sub_mchid or f"none of {company.code}" for company in every))
    sellers = (company.alipay_seller_id or f"none of {company.code}" for company in every)
    unique(file, "$.companies[{}].alipay_seller_id", sellers)
    for index, company in enumerate(every):
        path = f"$.companies[{index}]"
        _check_top_up(file, f"{path}.top_up", company)
        _check_format(file, f"{path}.account", company.account)
        _check_format(file, f"{path}.proof", company.proof)
        if company.gateway.timeout > LONGEST_TIMEOUT:
            raise CityPackInvalid(file, f"{path}.gateway.timeout", "nobody waits longer than 30s for an answer")
        _check_files(file, path, company)


def check_payments(file: str, found: PaymentsFile) -> None:
    """Every rule has one version for every day; orders fit between the company's quote and the provider's limits."""
    timelines: dict[str, Sequence[Rule]] = {
        "order": found.order,
        "creation_limit": found.creation_limit,
        "binding_limit": found.binding_limit,
        "family": found.family,
        "mandate": found.mandate,
        "view": found.view,
        "bill_file": found.bill_file,
        "surcharge": found.surcharge,
        "posting": found.posting,
        "refund": found.refund,
        "message": found.message,
        "reconciliation": found.reconciliation,
        "sms": found.sms,
        "phone_code": found.phone_code,
    }
    for name, rules in timelines.items():
        check_days(file, f"$.{name}", rules)
    for index, rule in enumerate(found.order):
        _check_order(file, f"$.order[{index}]", rule)
    _check_mandates(file, found.mandate)
    for index, rule in enumerate(found.surcharge):
        if rule.allowed:
            raise CityPackInvalid(
                file,
                f"$.surcharge[{index}].allowed",
                "nothing may be added to what the company is owed (国办函〔2020〕129号)",
            )
    for index, rule in enumerate(found.bill_file):
        _check_bill_file(file, f"$.bill_file[{index}]", rule)
    for index, rule in enumerate(found.posting):
        if rule.delayed_after >= rule.give_up_after:
            raise CityPackInvalid(
                file, f"$.posting[{index}].delayed_after", "the payer is told before the money goes back"
            )
        _check_pauses(file, f"$.posting[{index}].retry_after", rule.retry_after)
    for index, rule in enumerate(found.refund):
        _check_pauses(file, f"$.refund[{index}].retry_after", rule.retry_after)
    for index, rule in enumerate(found.message):
        _check_message(file, f"$.message[{index}]", rule)
    for index, rule in enumerate(found.reconciliation):
        if not rule.ready_after < rule.late_after <= rule.look_back <= LONGEST_LOOK_BACK:
            raise CityPackInvalid(
                file,
                f"$.reconciliation[{index}].late_after",
                "a file is late after it should be there, and within the days looked back, at most 80d",
            )


def _check_mandates(file: str, rules: Sequence[MandateRule]) -> None:
    for index, rule in enumerate(rules):
        if rule.longest_life > rule.first_life:
            raise CityPackInvalid(
                file, f"$.mandate[{index}].longest_life", "nobody appoints for longer than he is appointed himself"
            )


def check_days(file: str, path: str, rules: Sequence[Rule]) -> None:
    """Exactly one version is in force on every day from the first one on. Versions stand in the order of their days."""
    if not rules:
        raise CityPackInvalid(file, path, "there is no version")
    for rule in rules:
        if rule.effective_to is not None and rule.effective_to < rule.effective_from:
            raise CityPackInvalid(
                file, path, f"a version ends on {rule.effective_to}, before it begins on {rule.effective_from}"
            )
    for earlier, later in pairwise(rules):
        if later.effective_from <= earlier.effective_from:
            raise CityPackInvalid(file, path, f"versions overlap or are out of order at {later.effective_from}")
        if earlier.effective_to is None or earlier.effective_to >= later.effective_from:
            raise CityPackInvalid(
                file, path, f"versions overlap from {later.effective_from}: the earlier one has to end the day before"
            )
        if earlier.effective_to + timedelta(days=1) != later.effective_from:
            raise CityPackInvalid(
                file, path, f"nothing is in force between {earlier.effective_to} and {later.effective_from}"
            )
    if rules[-1].effective_to is not None:
        raise CityPackInvalid(file, path, f"nothing is in force after {rules[-1].effective_to}")


def pattern_fault(pattern: str, example: str) -> str | None:
    """Why a pattern may not be used. Allowed is a small, bounded language that Python and browsers read alike."""
    if not (pattern.startswith("^") and pattern.endswith("$") and len(pattern) > 2):
        return "a pattern begins with ^ and ends with $"
    inner = pattern[1:-1]
    if "\\" in inner:
        return "a pattern says [0-9], never \\d: \\d accepts full-width digits (no backslash is allowed)"
    if found := re.search(r"[.*+^$]|\{,|,\}|\(\?(?!:)", inner):
        return f"{found[0]!r} is not allowed: say which characters and how many"
    if _has_open_alternative(inner):
        return "alternatives stand in brackets: ^(a|b)$, else the anchors hold for one of them only"
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        return f"does not compile: {error}"
    if compiled.fullmatch(example) is None:
        return f"does not fit its own example {example!r}"
    wide = example.translate(_FULL_WIDTH)
    if wide != example and compiled.fullmatch(wide):
        return "accepts full-width digits"
    return None


def _has_open_alternative(inner: str) -> bool:
    depth, in_class = 0, False
    for character in inner:
        if in_class:
            in_class = character != "]"
        elif character == "[":
            in_class = True
        elif character in "()":
            depth += 1 if character == "(" else -1
        elif character == "|" and depth == 0:
            return True
    return False


def _check_format(file: str, path: str, found: AccountFormat | Proof) -> None:
    fault = pattern_fault(found.pattern, found.example)
    if fault is not None:
        raise CityPackInvalid(file, f"{path}.pattern", fault)


def _check_message(file: str, path: str, rule: MessageRule) -> None:
    if not rule.retry_for < rule.receipt_within <= LONGEST_RECEIPT:
        raise CityPackInvalid(file, f"{path}.receipt_within", "is longer than retry_for and at most 24h")


def _check_bill_file(file: str, path: str, rule: BillFileRule) -> None:
    if rule.late_at <= rule.ready_at:
        raise CityPackInvalid(file, f"{path}.late_at", "a file is overdue after it is ready")
    if not timedelta(days=1) <= rule.look_back <= LONGEST_FILE_LOOK_BACK:
        raise CityPackInvalid(file, f"{path}.look_back", "is at least 1d and at most 31d")


def _check_files(file: str, path: str, company: Company) -> None:
    gateway, rule = company.gateway, company.gateway.files
    if (gateway.mode == "file") != (rule is not None):
        raise CityPackInvalid(
            file, f"{path}.gateway.files", "says when files come and go, of a company of mode file only"
        )
    if rule is None:
        return
    if gateway.quotes or gateway.errors != "status" or company.partial_payment:
        raise CityPackInvalid(
            file, f"{path}.gateway.mode", "a file fixes no quote, takes no part of a bill, has no errors inside"
        )
    if rule.late_at <= rule.ready_at:
        raise CityPackInvalid(file, f"{path}.gateway.files.late_at", "a file is overdue after it is ready")
    if list(rule.cutoffs) != sorted(set(rule.cutoffs)):
        raise CityPackInvalid(file, f"{path}.gateway.files.cutoffs", "are in the order of the day, each once")
    if not timedelta(hours=1) <= rule.answered_within <= timedelta(days=3):
        raise CityPackInvalid(file, f"{path}.gateway.files.answered_within", "is at least 1h and at most 3d")


def _check_order(file: str, path: str, rule: OrderRule) -> None:
    if rule.shortest_life < SHORTEST_PROVIDER_ORDER:
        raise CityPackInvalid(file, f"{path}.shortest_life", "the provider takes no order that ends within a minute")
    if not rule.shortest_life <= rule.life <= LONGEST_PROVIDER_ORDER:
        raise CityPackInvalid(file, f"{path}.life", "an order lives at least shortest_life and at most 2h")
    if rule.quote_margin + rule.shortest_life > SHORTEST_QUOTE:
        raise CityPackInvalid(
            file,
            f"{path}.quote_margin",
            "with shortest_life it is longer than the shortest quote, 2m: no such quote could be paid",
        )
    _check_pauses(file, f"{path}.query_after", rule.query_after)


def _check_pauses(file: str, path: str, pauses: Sequence[Duration]) -> None:
    if any(later < earlier for earlier, later in pairwise(pauses)):
        raise CityPackInvalid(file, path, "the pauses never become shorter")


def _check_top_up(file: str, path: str, company: Company) -> None:
    rule = company.top_up
    if rule is None:
        return
    if company.gateway.mode == "file":
        raise CityPackInvalid(file, path, "nothing is paid in advance where files alone speak of balances")
    for name, fen in (("least_fen", rule.least_fen), ("most_fen", rule.most_fen)):
        if fen % rule.step_fen:
            raise CityPackInvalid(file, f"{path}.{name}", "is no multiple of step_fen")
    if rule.least_fen > rule.most_fen:
        raise CityPackInvalid(file, f"{path}.most_fen", "is less than least_fen")
    for fen in rule.suggested_fen:
        if not rule.least_fen <= fen <= rule.most_fen or fen % rule.step_fen:
            raise CityPackInvalid(file, f"{path}.suggested_fen", f"{fen} is not an amount that may be paid")


def unique(file: str, path: str, values: Iterable[str]) -> None:
    seen: set[str] = set()
    for index, value in enumerate(values):
        if value in seen:
            raise CityPackInvalid(file, path.format(index), f"{value} appears twice")
        seen.add(value)
