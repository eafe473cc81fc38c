"""From a draft to a case: what was seen is what is filed, once, with a consent and an order for each company, and nothing else."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import asyncpg
import msgspec
import pytest

from core import clock
from core.database import fetch, fetch_one, violated_constraint
from core.errors import NotFound
from domain.applications.drafts import DraftChanged, NoDraft
from domain.applications.facts import check_digit
from domain.applications.filing import AnswersIncomplete, ConsentMissing, Filed, NoticeChanged, SubjectNotYours
from domain.identity.tokens import Caller
from domain.materials.needs import PapersNeeded
from models.application import Application
from models.consent import Consent
from models.idempotency import KeyReused
from models.service_order import ServiceOrder
from tests.cities.answers import FACTORY, changed
from tests.harness import cases
from tests.harness.spine import Citizen, Spine

NOTICE = "2023-03"


@pytest.fixture
async def citizen(spine: Spine) -> Citizen:
    found, _ = await spine.resident()
    return found


async def test_filing_makes_a_case_with_a_consent_and_an_order_for_each_company(spine: Spine, citizen: Citizen) -> None:
    filed = await cases.file(spine, citizen.caller, await cases.answers_of(spine, citizen.caller))
    application = await Application.get(id=filed.application_id)
    assert (application.status, application.services, application.area) == ("filed", ["water", "network"], "420704001")
    assert filed.number[:16] == f"EZ{filed.filed_at.astimezone(clock.SHANGHAI):%Y%m%d}420704"
    assert filed.number[-1] == check_digit(filed.number[2:-1])
    orders = await ServiceOrder.filter(application_id=application.id).order_by("number")
    assert [(one.company, one.number.removeprefix(filed.number)) for one in orders] == [
        ("water", "-S"), ("telecom_ct", "-W1"), ("telecom_cm", "-W2"),
    ]  # fmt: skip
    consents = await Consent.filter(application_id=application.id)
    assert {(one.company, one.notice_version) for one in consents} == {
        (company, NOTICE) for company in ("water", "telecom_ct", "telecom_cm")
    }
    water = spine.services.city.company("water")
    assert consents[0].notice_sha256 != consents[1].notice_sha256
    assert spine.services.city.applications.notices[0].sha256(water) in {one.notice_sha256 for one in consents}
    dump = str([dict(row) for row in await fetch("select * from application")])
    assert all(word not in dump for word in ("张三", "滨湖", "13812345678", filed.progress_code))
    await spine.jobs.run()
    (message,) = await fetch("select kind from message where channel = 'inbox' and kind <> 'survey.opened'")
    assert message["kind"] == "application.filed"


async def test_no_order_exists_without_the_consent_that_names_its_company(spine: Spine, citizen: Citizen) -> None:
    filed = await cases.file(spine, citizen.caller, await cases.answers_of(spine, citizen.caller))
    with pytest.raises(asyncpg.ForeignKeyViolationError) as refused:
        await fetch(
            "insert into service_order (id, status, application_id, company, service, number, revision, corrections, late_corrections,"
            " plan_version, inspections, tolerated, created_at) select gen_random_uuid(), 'created', application_id, 'gas', 'gas', 'x',"
            " 1, 0, 0, 0, 0, false, created_at from service_order where application_id = $1 limit 1",
            filed.application_id,
        )
    assert violated_constraint(refused.value) == "service_order_consent"


async def test_a_draft_goes_on_elsewhere_and_is_never_saved_over_unseen(spine: Spine, citizen: Citizen) -> None:
    drafts, caller = spine.services.drafts, citizen.caller
    begun = await drafts.begin(caller, {"services": ["water"]}, "mini_program")
    assert begun.problems == [], "what is missing is not wrong yet"
    saved = await drafts.save(caller, begun.application.id, 1, {"services": ["gas"]}, "ehuiban")
    assert (saved.application.version, saved.application.access_point) == (2, "ehuiban")
    with pytest.raises(DraftChanged) as refused:
        await drafts.save(caller, begun.application.id, 1, {"services": ["power"]}, "mini_program")
    assert refused.value.data["access_point"] == "ehuiban"
    assert (await drafts.show(caller, begun.application.id)).answers == {"services": ["gas"]}
    stranger, _ = await spine.resident()
    with pytest.raises(NotFound):
        await drafts.show(stranger.caller, begun.application.id)
    await drafts.discard(caller, begun.application.id)
    with pytest.raises(NotFound):
        await drafts.show(caller, begun.application.id)
    row = await Application.get(id=begun.application.id)
    assert (row.answers, row.address_index) == (None, None)


async def test_what_is_not_whole_not_consented_or_not_ones_own_is_not_filed(spine: Spine, citizen: Citizen) -> None:
    caller = citizen.caller
    answers = await cases.answers_of(spine, caller)
    every: dict[str, str] = dict.fromkeys(("water", "telecom_ct", "telecom_cm"), NOTICE)

    async def refused(
        answers: dict, consents: dict[str, str], error: type[Exception], by: Caller = caller
    ) -> Exception:
        draft_id = await cases.begun(spine, by, answers)
        with pytest.raises(error) as raised:
            await spine.services.filing.file(by, draft_id, 1, consents, cases.once(spine, by), _number)
        return raised.value

    incomplete = await refused(changed(answers, "/contact", ...), every, AnswersIncomplete)
    assert incomplete.data["problems"][0]["pointer"] == "/contact"  # type: ignore[attr-defined]
    await refused(answers, {"water": NOTICE}, ConsentMissing)
    await refused(answers, {**every, "gas": NOTICE}, ConsentMissing)
    await refused(answers, {**every, "water": "2022-01"}, NoticeChanged)
    await refused(changed(answers, "/applicant/id_number", "11010519491231002X"), every, SubjectNotYours)
    four: dict[str, str] = dict.fromkeys(("water", "power", "gas", "telecom_cu"), NOTICE)
    await refused(FACTORY, four, SubjectNotYours)
    for table in ("consent", "service_order"):
        assert await fetch(f"select 1 from {table}") == []


async def test_nothing_is_filed_while_a_paper_is_neither_there_nor_waived_nor_promised(
    spine: Spine, citizen: Citizen
) -> None:
    caller, services = citizen.caller, spine.services
    draft_id = await cases.begun(spine, caller, await cases.answers_of(spine, caller, ["water", "gas"]))
    every: dict[str, str] = dict.fromkeys(("water", "gas"), NOTICE)

    async def tried() -> object:
        try:
            return await services.filing.file(caller, draft_id, 1, every, cases.once(spine, caller), _number)
        except PapersNeeded as refused:
            return refused.data["missing"]

    lacking = [{"requirement": "property", "name": "不动产权证或购房合同", "may_be_promised": True}]
    assert await tried() == lacking
    assert (await Application.get(id=draft_id)).status == "draft"
    assert (
        await fetch("select 1 from consent union all select 1 from service_order union all select 1 from asked_paper")
        == []
    )
    asked, due_on = await services.needs.asked_of(caller, draft_id), clock.today() + timedelta(days=2)
    statement = services.tolerances.statement(asked, ["property"], due_on)
    await services.tolerances.sign(caller, draft_id, asked, ["property"], due_on, statement.sha256)
    await spine.travel(timedelta(days=3))
    assert await tried() == [lacking[0] | {"may_be_promised": False}], "its day is over before anything was filed"
    await services.tolerances.watch()
    await services.tolerances.sign(
        caller, draft_id, asked, ["property"], due_on + timedelta(days=3),
        services.tolerances.statement(asked, ["property"], due_on + timedelta(days=3)).sha256,
    )  # fmt: skip
    assert isinstance(await tried(), bytes)
    rows = await fetch("select requirement, basis, services from asked_paper order by requirement")
    assert [tuple(row) for row in rows] == [
        ("applicant_id", "real_name", ["water", "power", "gas", "network"]), ("property", "promise", ["water", "power", "gas"]),
    ]  # fmt: skip
    missing = await fetch("select papers_missing($1, 'gas') as one", draft_id)
    assert [row["one"] for row in missing] == ["property"]


async def test_the_same_key_files_once_and_what_was_filed_is_no_draft(spine: Spine, citizen: Citizen) -> None:
    caller, filing = citizen.caller, spine.services.filing
    answers = await cases.answers_of(spine, caller, ["water"])
    draft_id = await cases.begun(spine, caller, answers)
    await cases.hand_in(draft_id)
    first = await filing.file(caller, draft_id, 1, {"water": NOTICE}, cases.once(spine, caller, "one"), _number)
    again = await filing.file(caller, draft_id, 1, {"water": NOTICE}, cases.once(spine, caller, "one"), _number)
    assert first == again
    with pytest.raises(KeyReused):
        await filing.file(caller, draft_id, 1, {"water": NOTICE}, cases.once(spine, caller, "one", b"other"), _number)
    with pytest.raises(NoDraft):
        await filing.file(caller, draft_id, 1, {"water": NOTICE}, cases.once(spine, caller, "two"), _number)
    assert len(await fetch("select 1 from service_order")) == 1


async def test_of_two_who_file_at_once_one_wins(spine: Spine, citizen: Citizen) -> None:
    caller, filing = citizen.caller, spine.services.filing
    draft_id = await cases.begun(spine, caller, await cases.answers_of(spine, caller, ["water"]))
    await cases.hand_in(draft_id)
    tries = [filing.file(caller, draft_id, 1, {"water": NOTICE}, cases.once(spine, caller), _number) for _ in range(2)]
    results = await asyncio.gather(*tries, return_exceptions=True)
    assert sorted(type(one).__name__ for one in results) == ["NoDraft", "bytes"]


async def test_an_agent_files_for_his_organization_and_only_within_his_mandate(spine: Spine) -> None:
    first, _ = await spine.resident()
    code = "91350100M000100Y43"
    organization_id = await spine.organization()
    vault = spine.services.vault
    await fetch(
        "update organization set credit_code_index = $2 where id = $1", organization_id, vault.index("organization.credit_code", code)
    )  # fmt: skip
    await spine.services.first_agents.make(first.caller, organization_id, clock.now())
    acting = replace(first.caller, organization_id=organization_id)
    filed = await cases.file(spine, acting, FACTORY)
    assert (await Application.get(id=filed.application_id)).organization_id == organization_id
    used = await fetch("select action from access_use where subject_id = $1", filed.application_id)
    assert "application.filed" in [row["action"] for row in used]
    await fetch("update mandate set services = '{water}' where person_id = $1", first.id)
    with pytest.raises(NotFound):
        await spine.services.withdrawing.withdraw(acting, filed.application_id)
    row = await fetch_one("select distance_m, distance_source from service_order where company = 'gas'")
    assert row is not None
    assert tuple(row) == (420, "declared")


def _number(filed: Filed) -> bytes:
    return msgspec.json.encode(filed.number)
