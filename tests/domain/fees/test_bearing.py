"""Who bears what, at each boundary, by the pack's rule; and nothing is charged that is not published."""

from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import asyncpg
import pytest
from msgspec.structs import replace

from cities.errors import CityPackInvalid
from cities.fees import PublishedCharge
from cities.loader import load, load_city
from cities.schema import City, Service
from core import clock, ids
from core.database import violated_constraint
from core.errors import NotFound
from domain.fees.bearing import ChargeNotPublished, Fees, PowerNotStated
from domain.fees.units import KilovoltAmperes, Kilowatts
from lianban.migrate import publish
from models.fee import Charge, FeeClaim
from models.fee import PublishedCharge as Row
from models.lifecycle import Actor
from tests.cities import packs

CITY = load_city("ezhou")
ON = date(2026, 11, 23)
POWER = Actor("staff", "power:zhou")


def kw(text: str) -> Kilowatts:
    return Kilowatts(Decimal(text))


@pytest.mark.parametrize(
    ("power", "bearer", "applicant_fen"),
    [
        ("0.5", "company", 0),
        ("160", "company", 0),
        ("160.001", "government", 0),
        ("220", "government", 0),
        ("220.001", "by_rule", None),
    ],
)
def test_power_is_borne_by_the_kilowatts_applied_for(power: str, bearer: str, applicant_fen: int | None) -> None:
    borne = Fees(CITY).bearer("power", kw(power), ON)
    assert (borne.bearing.bearer, borne.applicant_fen) == (bearer, applicant_fen)
    assert (borne.bearing.doubt is not None) == (bearer == "by_rule"), "there the clause may be read in another way"


@pytest.mark.parametrize("service", ["water", "gas", "network"])
def test_water_gas_and_network_cost_nothing_outside_the_red_line(service: Service) -> None:
    assert Fees(CITY).bearer(service, None, ON).applicant_fen == 0


def test_kva_are_never_taken_for_kilowatts() -> None:
    with pytest.raises(TypeError):
        Fees(CITY).bearer("power", KilovoltAmperes(Decimal(200)), ON)  # pyright: ignore[reportArgumentType]
    with pytest.raises(TypeError):
        assert kw("160") < KilovoltAmperes(Decimal(200))  # pyright: ignore[reportOperatorIssue]
    stated = KilovoltAmperes(Decimal(200)).at(Decimal("0.9"))
    assert Fees(CITY).bearer("power", stated, ON).bearing.bearer == "government"
    with pytest.raises(PowerNotStated):
        Fees(CITY).bearer("power", None, ON)


@pytest.mark.parametrize(
    ("path", "value", "power", "bearer"),
    [
        ("bearer.3.bands.0.up_to_kw", "100", "150", "government"),
        ("bearer.3.bands.1.bearer", "company", "200", "company"),
        ("bearer.3.otherwise.bearer", "government", "500", "government"),
    ],
    ids=["boundary", "bearer", "the other reading"],
)
def test_changing_a_rule_of_the_pack_changes_who_pays(
    tmp_path: Path, path: str, value: str, power: str, bearer: str
) -> None:
    city = load(packs.change(tmp_path, "fees.toml", packs.put(path, value)))
    assert Fees(city).bearer("power", kw(power), ON).bearing.bearer == bearer


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (packs.put("bearer.3.bands.1.up_to_kw", "150"), "bands rise"),
        (packs.put("bearer.0.bands", [{"code": "x", "up_to_kw": "1", "bearer": "company"}]), "only power"),
        (packs.drop("bearer.0"), "there is no version"),
        (packs.put("words.company", "免费"), "says which company"),
    ],
    ids=["falling bands", "kilowatts of water", "no rule", "no name"],
)
def test_a_list_that_cannot_be_used_is_refused(tmp_path: Path, fault: packs.Fault, words: str) -> None:
    with pytest.raises(CityPackInvalid, match=words):
        load(packs.change(tmp_path, "fees.toml", fault))


async def test_a_claim_says_who_bears_it_and_another_takes_its_place(database: None) -> None:
    fees, order = Fees(CITY), ids.new_id()
    await fees.claim("service_order", order, "power", "420704", kw("180"), POWER)
    await fees.state_cost("service_order", order, 9_876_500)
    (row,) = await fees.month(clock.today().replace(day=1))
    assert (row.bearer, row.cases, row.known, row.amount_fen) == ("government", 1, 1, 9_876_500)
    await fees.claim("service_order", order, "power", "420704", kw("260"), POWER)
    (row,) = await fees.month(clock.today().replace(day=1), "power", "420704")
    assert (row.bearer, row.cases, row.doubtful, row.known) == ("by_rule", 1, 1, 0)
    assert await FeeClaim.filter(subject_id=order).count() == 2, "what was recorded before stays readable"
    assert await fees.month(clock.today().replace(day=1), "water") == []
    assert await fees.month(date(2026, 1, 1) if clock.today().month != 1 else date(2026, 2, 1)) == []
    await fees.claim("service_order", ids.new_id(), "water", None, kw("180"), POWER)
    with pytest.raises(NotFound):
        await fees.state_cost("service_order", ids.new_id(), 1)


@pytest.fixture
async def listed(database: None, database_url: str) -> City:
    """A city with one published charge, in force since yesterday."""
    charge = PublishedCharge(
        code="meter_move", company="gas", name="表位改造", unit="次", price_fen=12_000, clause="收费目录清单第 3 项",
        effective_from=clock.today() - timedelta(days=1), source="演示",
    )  # fmt: skip
    city = replace(CITY, fees=replace(CITY.fees, charges=(charge,)))
    await publish(database_url, city)
    return city


async def test_what_is_charged_is_on_the_list_at_its_price(listed: City, database_url: str) -> None:
    fees, order = Fees(listed), ids.new_id()
    charge = await fees.charge("service_order", order, "meter_move", 2, "gas", POWER)
    assert charge.amount_fen == 24_000
    for code, company in (("meter_move", "water"), ("anything", "gas")):
        with pytest.raises(ChargeNotPublished):
            await fees.charge("service_order", order, code, 1, company, POWER)
    forged = {
        "published_id": charge.published_id, "company": "gas", "subject_kind": "service_order", "subject_id": order, "quantity": 1,
        "actor_kind": "staff", "actor_id": "x", "created_at": clock.now(),
    }  # fmt: skip
    for price_fen, amount_fen, day, constraint in (
        (11_000, 11_000, clock.today(), "charge_published_only"),
        (12_000, 12_000, clock.today() - timedelta(days=2), "charge_published_only"),
        (12_000, 13_000, clock.today(), "charge_adds_up"),
    ):
        with pytest.raises(Exception) as refused:  # noqa: PT011  the constraint is what counts
            await Charge.create(id=ids.new_id(), price_fen=price_fen, amount_fen=amount_fen, charged_on=day, **forged)
        assert violated_constraint(refused.value) == constraint
    dearer = replace(listed.fees, charges=(replace(listed.fees.charges[0], price_fen=15_000),))
    with pytest.raises(CityPackInvalid, match="another price"):
        await publish(database_url, replace(listed, fees=dearer))


async def test_the_application_cannot_publish_a_charge_itself(database: None) -> None:
    with pytest.raises(Exception) as refused:  # noqa: PT011  Tortoise wraps it
        await Row.create(
            id=ids.new_id(), code="x", company="gas", name="x", unit="x", price_fen=1, clause="x", effective_from=ON,
            published_at=clock.now(),
        )  # fmt: skip
    assert isinstance(refused.value.args[0], asyncpg.InsufficientPrivilegeError) or "permission" in str(refused.value)
