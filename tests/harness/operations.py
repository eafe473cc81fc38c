"""How each operation of the contract is brought to its documented answer: the ids and the secrets its example leaves open."""

from base64 import b32decode
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import httpx

from api import web
from api.calls import Route
from api.fields import filled, placeholders
from core import clock, ids
from core.database import transaction
from domain.deadlines.clocks import Subject
from domain.deadlines.supervising import Scope
from domain.identity import totp
from models.credit import CREDIT_RECORD, CreditRecord
from models.lifecycle import SYSTEM, Actor, born
from models.permit import Permit
from models.person import Person as Row
from models.supervision import DeadlineWarning, Supervision
from payments.reconciliation import items
from tests.harness import cases, desks, devices, pushes, staff
from tests.harness.differences import differing
from tests.harness.edge import Caller, Edge, Person
from tests.harness.senders import Signed
from tests.harness.staff import Member, member_for


class Operations:
    """Carries out operations for one person at one edge."""

    def __init__(self, edge: Edge) -> None:
        self.edge = edge

    async def carry_out(self, route: Route) -> httpx.Response:
        """The example of `route`, with everything it needs made before; returns its answer."""
        if route.path.startswith("/staff/"):
            return await self._of_staff(route)
        person = None
        if route.name == "mandates_claim_organization":
            person = await self.edge.legal_person()
        elif route.access.who in ("person", "anybody"):
            person = await self.edge.person(3 if route.name in _REAL_NAMES else max(2, route.access.level))
        if route.access.who in ("company", "platform"):
            return await self._signed(route)
        if route.access.who == "device":
            return await self._of_device(route)
        assert person is not None
        path = route.path
        if route.name.startswith("top_ups_"):
            path = path.replace("{account_id}", await _prepaid(self.edge, person))
        path = await _gone_far_enough(self.edge, person, route, path)
        for name in _names(path):
            path = path.replace(f"{{{name}}}", await _PATH[name](self.edge, person))
        if route.upload:
            return await self.edge.upload(person)
        if route.name == "papers_detach":
            place, deed = f"/v1/applications/{await _draft(self.edge, person)}/papers", await _deed(self.edge, person)
            await self.edge.told("POST", place, {"requirement": "property", "material_id": deed}, by=person)
            return await self.edge.call("DELETE", f"{place}/{deed}", by=person)
        if route.name == "materials_read":
            opened = await self.edge.told("POST", path.replace("/content", "/links"), by=person)
            return await self.edge.call("GET", opened["url"], by=person)
        body = filled(route.example, {name: await self._value(name, person) for name in placeholders(route.example)})
        key = uuid4().hex if route.idempotent else None
        by = person if route.access.who == "person" else None
        headers = {"On-Behalf-Of": await self.edge.agent(person)} if route.name in _FOR_ORGANIZATIONS else {}
        return await self.edge.call(route.method, path, body, by=by, key=key, headers=headers)

    async def _of_staff(self, route: Route) -> httpx.Response:
        edge, services = self.edge, self.edge.spine.services
        member = await member_for(services, route.access)
        path = route.path
        for name, id_ in (await within_reach(edge, member, route)).items():
            path = path.replace(f"{{{name}}}", id_)
        values = {
            "staff_login": member.login,
            "staff_password": staff.PASSWORD,
            "staff_unit": "water",
            "totp_code": member.code(),
        }
        if "enrolments" in route.path:
            made = await staff.waiting(services, "water", "administrator")
            values |= {
                "staff_login": made.user.login,
                "setup_code": made.setup_code,
            }
            if route.name == "staff_sessions_confirm":
                enrolling = {"login": made.user.login, "setup_code": made.setup_code, "password": staff.PASSWORD}
                secret = (await edge.told("POST", "/staff/v1/enrolments", enrolling))["totp_secret"]
                values["totp_code"] = totp.code(b32decode(secret), totp.step(clock.now()))
        if route.name == "staff_acting_open_session":
            values["counter_code"] = await counter_code(edge, await edge.person())
        if route.name == "staff_desk_find_account":
            values["number"] = (await edge.bound(await edge.person()))["number"]
        if "card_code" in placeholders(route.example):
            reader, facts = await devices.enrolled(services, "reader", unit=member.unit), await edge.spine.known()
            values["card_code"] = (await reader.reads(edge, id_number=facts["id_number"]))["card_code"]
        if "public_key" in (route.example or ()):
            key = {"public_key": devices.new_key()[1]}
            return await edge.call(route.method, path, {**route.example, **key}, by=member)
        if "qr_token" in placeholders(route.example):
            values["qr_token"] = await edge.spine.qr(await edge.spine.account(4199))
        if "quote_id" in placeholders(route.example):
            values["quote_id"] = await acting_quote(edge, member, path.split("/")[4])
        values |= {"proof": "002X", **_times()}
        values["new_login"] = f"n{uuid4().hex[:10]}"
        if route.name == "staff_papers_read":
            body = {"reading_purpose": "handling", "note": "核对产权证上的地址"}
            opened = await edge.told("POST", path.replace("/content", "/links"), body, by=member)
            return await edge.call("GET", opened["url"], by=member)
        key = uuid4().hex if route.idempotent else None
        by = member if route.access.who == "staff" else None
        query = {"day": clock.today().isoformat()} if route.name in _OF_A_DAY else None
        if route.name in ("staff_deadlines_show_figures", "staff_pushes_export_demand"):
            query = {"first": "2026-11-01", "last": "2026-11-30"}
        return await edge.call(route.method, path, filled(route.example, values), by=by, key=key, params=query)

    async def _of_device(self, route: Route) -> httpx.Response:
        device, path = await devices.enrolled(self.edge.spine.services), route.path
        if "{card_read_id}" in path:
            taken = await devices.taken(self.edge, device, await self.edge.person())
            path = path.replace("{card_read_id}", taken)
        return await device.call(self.edge, route.method, path, route.example)

    async def _value(self, name: str, person: Person) -> str:
        edge, citizen = self.edge, person.citizen
        if name in _CODES:
            return await _CODES[name](edge, person)
        match name:
            case "login_code":
                return await edge.spine.login_code(citizen.phone_id)
            case "phone_code":
                return await edge.spine.phone_code(citizen.phone_id)
            case "phone":
                return citizen.phone
            case "sms_code":
                await edge.spine.jobs.run()
                texts = (await edge.spine.control("GET", f"/sms?number=%2B86{citizen.phone}"))["messages"]
                return texts[-1]["text"].partition("验证码 ")[2][:6]
            case "refresh_token":
                body = {"code": await edge.spine.login_code(citizen.phone_id), "client_id": "4f9c2b7a61d84e0f"}
                return (await edge.told("POST", "/v1/sessions/wechat-mini-program", body))["refresh_token"]
            case "return_url":
                return edge.spine.services.settings.return_urls[0]
            case "handover":
                return await self._handover()
            case "proof":
                return "002X"
            case "qr_token":
                return await edge.spine.qr(await edge.spine.account(4199))
            case "quote_id":
                token = await self._value("qr_token", person)
                return (await edge.told("POST", "/v1/quotes", {"token": token}, by=person))["quote_id"]
        return _times()[name]

    async def _handover(self) -> str:
        """What the page finds in its fragment after a login; the client's jar keeps the cookie."""
        page = self.edge.spine.services.settings.return_urls[0]
        body = {"source": "hubei_portal", "return_url": page, "client_id": "4f9c2b7a61d84e0f"}
        started = await self.edge.told("POST", "/v1/sessions/unified/start", body)
        query = await self.edge.spine.at_the_source(await self.edge.spine.known(), started["login_url"])
        back = await self.edge.call("GET", "/v1/sessions/unified/hubei_portal/callback", params=query)
        return back.headers["location"].partition("#handover=")[2]

    async def _signed(self, route: Route) -> httpx.Response:
        path = await self._path_of_company(route.path)
        query, headers, body = await self.signed(route, path)
        return await self.edge.http.request(route.method, path, params=query, headers=headers, content=body)

    async def _path_of_company(self, path: str) -> str:
        """The path with an order of the water company's and a paper that serves it."""
        path = path.replace("{company}", "water")
        if "{order_id}" in path:
            found = await _paper_of_order(self.edge, await staff.member(self.edge.spine.services, "water", "handler"))
            made = self.edge.spine.services.materials.link_for(
                UUID(found["material_id"]), "company:water", f"order:{found['order_id']}"
            )
            path = path.format(**found, material_link=made.text)
        return path

    async def signed(self, route: Route, path: str = "") -> Signed:
        """What the company, the platform or the device sends; a device about a card of its own choice."""
        edge = self.edge
        match route.name:
            case "callbacks_wechat_pay_receive":
                return edge.senders.wechat_pay("TRANSACTION.SUCCESS", await self._trade())
            case "callbacks_alipay_receive":
                return edge.senders.alipay({"trade_status": "WAIT_BUYER_PAY"})
            case "callbacks_construction_platform_receive":
                return edge.senders.construction(route.path, route.example)
            case "callbacks_wechat_verify_address":
                return edge.senders.wechat_address_check("8123456789")
            case "callbacks_wechat_receive":
                return edge.senders.wechat_push("user_enter_tempsession")
            case "callbacks_wechat_verify_official_address":
                return edge.senders.wechat_address_check("8123456789", "official_account")
            case "callbacks_wechat_receive_official":
                return edge.senders.wechat_push("VIEW", "official_account", "<EventKey>menu</EventKey>")
        if route.access.who == "device":
            device, path = (
                await devices.enrolled(edge.spine.services),
                route.path.replace("{card_read_id}", str(uuid4())),
            )
            return {}, *device.signed(edge, route.method, path, route.example)
        body = filled(
            route.example,
            {name: await edge.spine.qr(await edge.spine.account()) for name in placeholders(route.example)},
        )
        return edge.senders.company("water", route.method, path or made_up(route.path), body)

    async def _trade(self) -> dict[str, Any]:
        """A trade as WeChat Pay tells of it, of an order that is really paid."""
        edge = self.edge
        person = await edge.person(1)
        payment_id = await edge.payment(person)
        params = await edge.told("POST", f"/v1/payments/{payment_id}/pay-params", by=person)
        paid = await edge.spine.control("POST", f"/people/{person.citizen.phone_id}/pay", params)
        assert paid == {"result": "ok"}
        orders = (await edge.spine.control("GET", "/wechat-pay/orders"))["orders"]
        order = next(order for order in orders if order["trade_state"] == "SUCCESS")
        pay = edge.spine.services.settings.wechat_pay
        return {
            "sp_mchid": pay.sp_mchid, "sub_mchid": order["sub_mchid"], "sp_appid": pay.sp_appid, "out_trade_no": order["out_trade_no"],
            "transaction_id": order["transaction_id"], "trade_type": "JSAPI", "trade_state": "SUCCESS", "trade_state_desc": "支付成功",
            "bank_type": "OTHERS", "attach": "", "success_time": order["success_time"],
            "payer": {"sp_openid": person.citizen.openid},
            "amount": {"total": 4199, "payer_total": 4199, "currency": "CNY", "payer_currency": "CNY"},
        }  # fmt: skip


def made_up(path: str) -> str:
    """A path of the water company's, about nothing that there is."""
    nothing = dict.fromkeys(("order_id", "material_id", "card_read_id"), UUID(int=7))
    return path.format(company="water", material_link="1.somebody-s", **nothing)


_OF_A_DAY = ("staff_desk_list_payments", "staff_deadlines_show_fees")
_FOR_ORGANIZATIONS = ("mandates_appoint", "mandates_list_agents")
"""What nobody does for himself."""


async def _session(edge: Edge, person: Person) -> str:
    return (await edge.told("GET", "/v1/sessions", by=person))["sessions"][0]["session_id"]


async def _bound(edge: Edge, person: Person, name: str) -> str:
    return (person.bound or await edge.bound(person))[name]


async def _binding(edge: Edge, person: Person) -> str:
    return await _bound(edge, person, "binding_id")


async def _account(edge: Edge, person: Person) -> str:
    return await _bound(edge, person, "account_id")


async def _prepaid(edge: Edge, person: Person) -> str:
    number = await edge.spine.prepaid_account(1500)
    body = {"company": "power", "number": number, "proof": "123X"}
    return (await edge.told("POST", "/v1/bindings", body, by=person))["account_id"]


async def _bill(edge: Edge, person: Person) -> str:
    return await _bound(edge, person, "bill_id")


async def _source(_edge: Edge, _person: Person) -> str:
    return "ehuiban"


async def _script(_edge: Edge, _person: Person) -> str:
    return next(name.removeprefix("assets/") for name in web.files() if name.endswith(".js"))


async def _mandate(edge: Edge, person: Person) -> str:
    await edge.agent(person)
    return (await edge.told("GET", "/v1/organizations", by=person))["organizations"][0]["mandate_id"]


async def name_of(edge: Edge, person: Person) -> str:
    """His real name, as his identity source has it."""
    row = await Row.get(id=person.citizen.id)
    assert row.name is not None
    return edge.spine.services.vault.open(row.name, "person.name", row.id)


async def _invitation(edge: Edge, _person: Person) -> str:
    owner = await edge.person()
    path = f"/v1/utility-accounts/{await _account(edge, owner)}/shares"
    return (await edge.told("POST", path, {"label": "妈妈", "may_pay": True}, by=owner))["code"]


async def _appointment(edge: Edge, person: Person) -> str:
    appointer = await edge.person(3)
    headers = {"On-Behalf-Of": await edge.agent(appointer)}
    ends_at = (clock.now() + timedelta(days=30)).isoformat()
    body = {"agent_name": await name_of(edge, person), "scopes": ["read"], "ends_at": ends_at}
    return (await edge.told("POST", "/v1/mandates", body, by=appointer, headers=headers))["code"]


async def _share(edge: Edge, person: Person) -> str:
    account_id = await _account(edge, person)
    body = {"label": "妈妈", "may_pay": True}
    return (await edge.told("POST", f"/v1/utility-accounts/{account_id}/shares", body, by=person))["share_id"]


async def _token(edge: Edge, _person: Person) -> str:
    return await edge.spine.qr(await edge.spine.account())


async def _phone_code(edge: Edge, person: Person) -> str:
    body = {"phone": person.citizen.phone}
    return (await edge.told("POST", "/v1/me/phone-codes", body, by=person))["code_id"]


async def _join_handover(edge: Edge, person: Person) -> str:
    """What the page finds after `person` has proved a second identity; the client's jar keeps the cookie."""
    page = edge.spine.services.settings.return_urls[0]
    body = {"source": "hubei_portal", "return_url": page, "client_id": "4f9c2b7a61d84e0f"}
    started = await edge.told("POST", "/v1/identities/start", body, by=person)
    gone = await edge.call("GET", urlsplit(started["login_url"]).path)
    query = await edge.spine.at_the_source(await edge.spine.known(), gone.headers["location"])
    back = await edge.call("GET", "/v1/sessions/unified/hubei_portal/callback", params=query)
    return back.headers["location"].partition("#handover=")[2]


async def _join(edge: Edge, person: Person) -> str:
    body = {"handover": await _join_handover(edge, person), "client_id": "4f9c2b7a61d84e0f"}
    joined = await edge.told("POST", "/v1/identities/join", body, by=person)
    person.token = joined["access_token"]
    return joined["join_id"]


async def _link(edge: Edge, _person: Person) -> str:
    page = edge.spine.services.settings.return_urls[0]
    body = {"source": "ehuiban", "return_url": page, "client_id": "4f9c2b7a61d84e0f"}
    started = await edge.told("POST", "/v1/identities/start", body, by=await edge.person(1))
    return started["login_url"].rpartition("/")[2]


async def _card_code(edge: Edge, _person: Person) -> str:
    return (await (await devices.enrolled(edge.spine.services)).reads(edge))["card_code"]


async def _card_read(edge: Edge, person: Person) -> str:
    return await devices.taken(edge, await devices.enrolled(edge.spine.services), person)


_REAL_NAMES = (
    "drafts_begin", "drafts_show", "drafts_save", "drafts_discard", "drafts_list_same", "applications_show", "applications_show_progress",
)  # fmt: skip
"""Operations on what only a person with a real name comes by, though a lower level may look at it."""
_STANDING = {
    "service_orders_answer_correction": "correcting",
    "service_orders_confirm_plan": "plan_replied",
    "service_orders_question_plan": "plan_replied",
    "service_orders_sign_contract": "plan_confirmed",
    "service_orders_hand_on": "returned",
}
"""Where an order must stand for what its applicant does with it; else its company has just received it."""


async def _draft(edge: Edge, person: Person) -> str:
    answers = await cases.answers_of(edge.spine, person.citizen.caller, ["water"])
    body = {"answers": answers, "access_point": "mini_program"}
    return (await edge.told("POST", "/v1/application-drafts", body, by=person))["draft_id"]


async def _whole_draft(edge: Edge, person: Person) -> str:
    """A draft whose papers are there."""
    draft_id = await _draft(edge, person)
    await cases.hand_in(UUID(draft_id))
    return draft_id


async def filed(edge: Edge, person: Person) -> dict[str, Any]:
    """An application of this person's for water, filed through the API."""
    body = {"version": 1, "consents": [{"company": "water", "notice_version": "2023-03"}]}
    path = f"/v1/application-drafts/{await _whole_draft(edge, person)}/filing"
    return await edge.told("POST", path, body, by=person, key=uuid4().hex)


async def _gone_far_enough(edge: Edge, person: Person, route: Route, path: str) -> str:
    """The path with the order or the appointment of this person's that stands where the operation needs it."""
    if route.name in _STANDING:
        path = path.replace("{order_id}", await _order(edge, person, _STANDING[route.name]))
    if route.name in ("papers_state_promise", "papers_sign_promise"):
        path = path.replace("{application_id}", await _draft(edge, person))
    if route.name == "drafts_file":
        path = path.replace("{draft_id}", await _whole_draft(edge, person))
    if route.name.startswith("surveys_"):
        found = await desks.appointment(edge.spine, person.citizen.caller, route.name)
        path = path.replace("{application_id}", found)
    return path


async def _application(edge: Edge, person: Person) -> str:
    return (await filed(edge, person))["application_id"]


async def _order(edge: Edge, person: Person, status: str = "received") -> str:
    """An order of this person's that stands there."""
    company = "telecom_cm" if status == "returned" else "water"
    return str((await cases.standing(edge.spine, person.citizen.caller, company, status)).id)


async def _progress(edge: Edge, person: Person) -> str:
    return (await filed(edge, person))["progress_code"]


async def _last4(_edge: Edge, _person: Person) -> str:
    return "5678"


async def _contest(edge: Edge, person: Person) -> str:
    body = {"paper": "property_proof", "evidence_source": "former_case", "note": "那是旧房产证"}
    return (await edge.told("POST", "/v1/paper-contests", body, by=person))["contest_id"]


async def _credit_record(_edge: Edge, person: Person) -> str:
    """A record he was told of just now."""
    row = CreditRecord(
        id=ids.new_id(), status="noticed", person_id=person.citizen.caller.person_id, event="promise_overdue", evidence_kind="tolerance",
        evidence_id=uuid4(), noticed_at=clock.now(), objection_until=clock.today() + timedelta(days=5),
    )  # fmt: skip
    async with transaction():
        await row.save(force_create=True)
        await born(CREDIT_RECORD, row, SYSTEM, announces="credit_record.noticed")
    return str(row.id)


async def _paper_of_order(edge: Edge, member: Member) -> dict[str, str]:
    """An order of this member's company with a deed that serves it."""
    unit = edge.spine.services.city.staff.unit(member.unit)
    assert unit is not None
    assert unit.company is not None
    person = await edge.person(3)
    order = await cases.standing(edge.spine, person.citizen.caller, unit.company, "received")
    deed = await _deed(edge, person)
    path = f"/v1/applications/{order.application_id}/papers"
    await edge.told("POST", path, {"requirement": "property", "material_id": deed}, by=person)
    return {"order_id": str(order.id), "material_id": deed}


async def _objected(edge: Edge) -> str:
    """A record to which somebody has objected."""
    person = await edge.person(3)
    record_id = await _credit_record(edge, person)
    await edge.told("POST", f"/v1/credit-records/{record_id}/objection", {"words": "快递丢了"}, by=person)
    return record_id


async def _deed(edge: Edge, person: Person) -> str:
    return (await edge.upload(person, paper="property_proof")).json()["material_id"]


async def _promise_day(_edge: Edge, _person: Person) -> str:
    return (clock.today() + timedelta(days=3)).isoformat()


async def _statement(edge: Edge, _person: Person) -> str:
    city = edge.spine.services.city
    asked = city.materials.required(cases.PERSON, clock.today())
    day = clock.today() + timedelta(days=3)
    return edge.spine.services.tolerances.statement(asked, ["property"], day).sha256


_CODES = {
    "progress_code": _progress,
    "phone_last4": _last4,
    "property_material_id": _deed,
    "promised_for": _promise_day,
    "statement_sha256": _statement,
    "card_code": _card_code,
    "join_handover": _join_handover,
    "appointment_code": _appointment,
    "invitation_code": _invitation,
}


OBJECTS: dict[str, Callable[[Edge, Person], Awaitable[str]]] = {
    "session_id": _session,
    "binding_id": _binding,
    "account_id": _account,
    "bill_id": _bill,
    "share_id": _share,
    "mandate_id": _mandate,
    "payment_id": Edge.payment,
    "message_id": Edge.message,
    "acting_id": lambda edge, person: _acting_of_mine(edge, person),
    "code_id": _phone_code,
    "draft_id": _draft,
    "application_id": _application,
    "order_id": _order,
    "material_id": Edge.material,
    "contest_id": _contest,
    "record_id": _credit_record,
    "card_read_id": _card_read,
    "join_id": _join,
}
"""Path parameter → how a person comes by such an object of his own."""
REAL_NAME_OBJECTS = frozenset(
    {"mandate_id", "material_id", "draft_id", "application_id", "order_id", "contest_id", "record_id"}
)
"""Those of them that only somebody of level 3 comes by."""


async def _staff_session(edge: Edge, member: Member) -> str:
    return (await edge.told("GET", "/staff/v1/sessions", by=member))["sessions"][0]["staff_session_id"]


async def _colleague(edge: Edge, member: Member) -> str:
    unit = "water" if member.unit == "city" else member.unit
    return str((await staff.member(edge.spine.services, unit, "administrator")).staff_id)


async def counter_code(edge: Edge, person: Person) -> str:
    """What this citizen shows at the counter."""
    return (await edge.told("POST", "/v1/me/counter-codes", by=person))["counter_code"]


async def acting_for(edge: Edge, member: Member, person: Person) -> str:
    """A session of this clerk for this citizen."""
    return await acting_to(edge, member, person, "bind")


async def acting_to(edge: Edge, member: Member, person: Person, purpose: str) -> str:
    """The same for a purpose of its own."""
    body = {"counter_code": await counter_code(edge, person), "acting_purpose": purpose}
    return (await edge.told("POST", "/staff/v1/acting-sessions", body, by=member))["acting_id"]


async def within_reach(edge: Edge, member: Member, route: Route) -> dict[str, str]:
    """Objects for every name in the route's path that this member of staff may reach."""
    names = _names(route.path)
    if route.name == "staff_permits_ask":
        return {"order_id": str(await surveyed_order(edge))}
    if "order_id" in names and "/materials" in route.path:
        return await _paper_of_order(edge, member)
    if route.path.startswith("/staff/v1/service-orders/"):
        stands = desks.STANDING.get(route.name.removeprefix("staff_service_orders_"), "received")
        return {"order_id": str((await desks.standing(edge.spine, stands)).id)}
    if "difference_id" in names:
        return {"difference_id": await _difference(edge, member, route)}
    if "supervision_id" in names:
        return {"supervision_id": await _supervision(edge, member, route)}
    if "acting_id" not in names:
        return {name: await STAFF_OBJECTS[name](edge, member) for name in names}
    person = await edge.person()
    account_id = (await edge.bound(person))["account_id"]
    if route.name == "staff_acting_prove_real_name":
        return {"acting_id": await acting_to(edge, member, person, "real_name")}
    purpose = "pay" if "quotes" in route.path or "payments" in route.path else "bind"
    found = {"acting_id": await acting_to(edge, member, person, purpose), "account_id": account_id}
    if "payment_id" in names:
        body = {"quote_ids": [await acting_quote(edge, member, found["acting_id"])]}
        path = f"/staff/v1/acting-sessions/{found['acting_id']}/payments"
        found["payment_id"] = (await edge.told("POST", path, body, by=member, key=uuid4().hex))["payment_id"]
    return found


async def acting_quote(edge: Edge, member: Member, acting_id: str) -> str:
    """What this clerk asks for the citizen he acts for: an account whose code was brought along."""
    body = {"token": await edge.spine.qr(await edge.spine.account(4199))}
    return (await edge.told("POST", f"/staff/v1/acting-sessions/{acting_id}/quotes", body, by=member))["quote_id"]


async def _difference(edge: Edge, member: Member, route: Route) -> str:
    """A difference this member of staff must explain, gone as far as the operation needs it."""
    services = edge.spine.services
    unit = services.city.staff.unit(member.unit)
    found = await differing((unit.company if unit else None) or "water")
    if route.name != "staff_differences_take_up":
        await items.take_in_hand(found.id, None, member.staff_id)
    if route.name in ("staff_differences_close", "staff_differences_send_back"):
        colleague = await member_for(services, route.access)
        await items.propose(found.id, None, colleague.staff_id, "支付机构漏记，次日已补记")
    return str(found.id)


async def _account_of_company(edge: Edge, _member: Member) -> str:
    return (await edge.bound(await edge.person()))["account_id"]


async def _payment_to_company(edge: Edge, _member: Member) -> str:
    return await edge.payment(await edge.person())


async def _acting_of_mine(edge: Edge, person: Person) -> str:
    return await acting_for(edge, await staff.member(edge.spine.services, "hall_420704", "clerk"), person)


async def _device(edge: Edge, _member: Member) -> str:
    return (await devices.enrolled(edge.spine.services)).device_id


async def late_promise(edge: Edge, member: Member) -> UUID:
    """A promise that is over, which this member of staff may see, with everything that follows from it."""
    services = edge.spine.services
    unit = services.city.staff.unit(member.unit)
    company, area = (unit.company if unit else None) or "water", (unit.area if unit else None) or "420704"
    subject, began = Subject("service_order", ids.new_id()), clock.now() - timedelta(days=30)
    promise = services.deadlines.promise(420, clock.today())
    row = await services.deadlines.open_deadline(subject, promise, began, company=company, area=area)
    await services.watch.run()
    return row.id


async def _warning(edge: Edge, member: Member) -> str:
    return str((await DeadlineWarning.get(deadline_id=await late_promise(edge, member))).id)


async def _supervision(edge: Edge, member: Member, route: Route) -> str:
    """A supervision order, replied to where the operation is about the reply."""
    order = await Supervision.get(deadline_id=await late_promise(edge, member))
    if route.name != "staff_deadlines_reply_supervision":
        supervising, replier = edge.spine.services.supervising, Actor("staff", "water:wang")
        await supervising.reply(order.id, Scope(None, None), replier, "明天上午通水")
    return str(order.id)


async def _request(edge: Edge, _member: Member) -> str:
    return str((await desks.request(edge.spine)).id)


async def _survey(edge: Edge, _member: Member) -> str:
    citizen, _ = await edge.spine.resident()
    return str((await desks.held(edge.spine, citizen.caller)).id)


def _times() -> dict[str, str]:
    """When a crew is free, and an applicant at home."""
    return {
        "starts_at": desks.at(9).isoformat(),
        "ends_at": desks.at(12).isoformat(),
        "slot_code": uuid4().hex,
    }


async def surveyed_order(edge: Edge) -> UUID:
    """An order of the water company that is being worked on."""
    citizen, _ = await edge.spine.resident()
    filed = await cases.file(edge.spine, citizen.caller, await cases.answers_of(edge.spine, citizen.caller, ["water"]))
    order = await cases.order_of(filed, "water")
    await cases.brought_to(edge.spine, citizen.caller, order, "surveyed")
    return order.id


async def _push(edge: Edge) -> str:
    """A push that waits for staff, and differs from the platform's list."""
    push = await pushes.stuck(edge.spine)
    push.difference = "unlisted"
    await push.save(update_fields=["difference"])
    return str(push.id)


async def _permit(edge: Edge, member: Member) -> str:
    """A permit that this member's unit has to answer."""
    permits = edge.spine.services.permits
    (found,) = await permits.ask(
        await surveyed_order(edge), cases.of("water"), ["road_digging"], "占道许可申请 2026-118"
    )
    permit = await Permit.get(id=found["id"])
    permit.unit = member.unit
    await permit.save(update_fields=["unit"])
    return str(permit.id)


STAFF_OBJECTS: dict[str, Callable[[Edge, Member], Awaitable[str]]] = {
    "request_id": _request,
    "survey_id": _survey,
    "staff_session_id": _staff_session,
    "staff_id": _colleague,
    "device_id": _device,
    "warning_id": _warning,
    "record_id": lambda edge, _member: _objected(edge),
    "permit_id": _permit,
    "push_id": lambda edge, _member: _push(edge),
    "account_id": _account_of_company,
    "payment_id": _payment_to_company,
}
"""Path parameter → how a member of staff comes by such an object within his reach."""


async def caller_for(edge: Edge, route: Route) -> Caller | None:
    """Somebody whom the route's row lets in; None where nobody logs in."""
    if route.access.who == "staff":
        return await member_for(edge.spine.services, route.access)
    return await edge.person(max(2, route.access.level)) if route.access.who == "person" else None


_PATH = {**OBJECTS, "token": _token, "name": _script, "source": _source, "link": _link}


def _names(path: str) -> list[str]:
    return [part[1:-1] for part in path.split("/") if part.startswith("{")]
