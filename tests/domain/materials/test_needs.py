"""What an application asks for and what there is of it: handed in, known already and from where, promised, or missing."""

from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from core import clock
from core.errors import NotFound
from domain.materials.materials import MaterialInUse
from domain.materials.needs import NotADraft, RequirementUnknown
from models.application import Application
from tests.harness import cases
from tests.harness.papers import document
from tests.harness.spine import Citizen, Spine


async def _states(spine: Spine, citizen: Citizen, application_id: UUID) -> dict[str, str]:
    return {
        need.requirement.code: need.state for need in await spine.services.needs.show(citizen.caller, application_id)
    }


async def _deed(spine: Spine, citizen: Citizen, pages: int = 1) -> UUID:
    return (await spine.services.materials.upload(citizen.caller, "property_proof", document(pages=pages))).id


async def test_a_paper_is_handed_in_once_and_serves_the_next_case_at_the_same_place_only(spine: Spine) -> None:
    (citizen, _), services = await spine.resident(), spine.services
    answers = await cases.answers_of(spine, citizen.caller)
    first = await cases.begun(spine, citizen.caller, answers)
    assert await _states(spine, citizen, first) == {"applicant_id": "waived", "property": "missing"}
    identity = (await services.needs.show(citizen.caller, first))[0].evidence
    assert identity is not None
    assert (identity.source, identity.contested) == ("real_name", False)
    assert identity.known_at <= clock.now()

    deed = await _deed(spine, citizen)
    with pytest.raises(RequirementUnknown):
        await services.needs.attach(citizen.caller, first, "licence", deed)
    with pytest.raises(RequirementUnknown):
        await services.needs.attach(citizen.caller, first, "applicant_id", deed)
    for _ in range(2):
        await services.needs.attach(citizen.caller, first, "property", deed)
    assert await _states(spine, citizen, first) == {"applicant_id": "waived", "property": "attached"}
    with pytest.raises(MaterialInUse):
        await services.materials.remove(citizen.caller, deed)
    await services.needs.detach(citizen.caller, first, deed)
    assert (await _states(spine, citizen, first))["property"] == "missing"

    filed = await cases.file(spine, citizen.caller, answers)
    await services.needs.attach(citizen.caller, filed.application_id, "property", deed)
    with pytest.raises(NotADraft):
        await services.needs.detach(citizen.caller, filed.application_id, deed)
    assert (await _states(spine, citizen, first))["property"] == "waived", "the case before has it"
    elsewhere = await cases.begun(spine, citizen.caller, cases.changed(answers, "/site/address", "滨湖南路20号1栋101"))
    assert (await _states(spine, citizen, elsewhere))["property"] == "missing", "a deed speaks of one place"

    contest = await services.needs.contest(citizen.caller, "property_proof", "former_case", "那是旧房产证")
    assert contest.id == (await services.needs.contest(citizen.caller, "property_proof", "former_case", "又说一遍")).id
    need = (await services.needs.show(citizen.caller, first))[1]
    assert need.state == "missing"
    assert need.evidence is not None
    assert need.evidence.contested
    await services.needs.withdraw_contest(citizen.caller, contest.id)
    assert (await _states(spine, citizen, first))["property"] == "waived"


async def test_another_s_material_or_application_is_not_there(spine: Spine) -> None:
    (citizen, _), (other, _) = await spine.resident(), await spine.resident()
    needs, mine = (
        spine.services.needs,
        await cases.begun(spine, citizen.caller, await cases.answers_of(spine, citizen.caller)),
    )
    deed = await _deed(spine, other)
    for application_id, material_id, by in (
        (mine, deed, citizen),
        (mine, deed, other),
        (uuid4(), deed, other),
        (mine, uuid4(), citizen),
    ):
        with pytest.raises(NotFound):
            await needs.attach(by.caller, application_id, "property", material_id)
    for refused in (
        needs.show(other.caller, mine),
        needs.detach(other.caller, mine, deed),
        needs.withdraw_contest(other.caller, uuid4()),
    ):
        with pytest.raises(NotFound):
            await refused
    # Whatever the paper, a stranger's real name stands for nobody else.
    application = await Application.get(
        id=await cases.begun(spine, other.caller, await cases.answers_of(spine, citizen.caller))
    )
    assert "applicant_id" in await needs.missing(application)


async def test_a_promised_paper_is_kept_by_handing_it_in(spine: Spine) -> None:
    citizen, _ = await spine.resident()
    services, application_id = (
        spine.services,
        await cases.begun(spine, citizen.caller, await cases.answers_of(spine, citizen.caller)),
    )
    asked, due_on = await services.needs.asked_of(citizen.caller, application_id), clock.today() + timedelta(days=3)
    statement = services.tolerances.statement(asked, ["property"], due_on)
    await services.tolerances.sign(citizen.caller, application_id, asked, ["property"], due_on, statement.sha256)
    application = await Application.get(id=application_id)
    assert (await _states(spine, citizen, application_id))["property"] == "promised"
    assert await services.needs.missing(application) == []
    assert await services.needs.missing(application, "water") == ["property"]
    await services.needs.attach(citizen.caller, application_id, "property", await _deed(spine, citizen))
    assert await services.needs.missing(application, "water") == []
    assert await services.tolerances.open_for(application_id) == []
