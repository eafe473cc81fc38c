"""The pack of Ezhou says what the documents say, in the words people understand."""

import json
from datetime import date, timedelta
from pathlib import Path

import pytest

from cities.demo import load_demo
from cities.errors import NotInForce, UnknownCompany
from cities.loader import load_city
from cities.messages import pieces

CITY = load_city("ezhou")
TODAY = date(2026, 11, 23)


def test_it_is_ezhou_with_three_districts_and_28_places_below_them() -> None:
    kinds = [area.kind for area in CITY.areas.values()]

    assert (CITY.name, CITY.area_code, CITY.time_zone) == ("鄂州市", "420700", "Asia/Shanghai")
    assert {area.name for area in CITY.areas.values() if area.kind == "district"} == {"梁子湖区", "华容区", "鄂城区"}
    assert len(kinds) - kinds.count("district") == 28
    assert CITY.areas["420704001"].name == "凤凰街道"


def test_functional_areas_are_no_districts_and_have_a_parent() -> None:
    functional = {area.name: area.parent for area in CITY.areas.values() if area.kind == "functional"}

    assert functional == {
        "梧桐湖新区": "420702",
        "葛店经开区": "420703",
        "鄂州经济开发区": "420704",
        "临空经济区": "420704",
    }


def test_six_companies_have_joined_each_with_a_merchant_number_of_its_own() -> None:
    assert list(CITY.companies) == ["water", "power", "gas", "telecom_ct", "telecom_cm", "telecom_cu"]
    assert CITY.joined_companies() == tuple(CITY.companies.values())
    merchants = {company.sub_mchid for company in CITY.companies.values()}
    assert len(merchants) == 6
    assert None not in merchants
    assert [company.service for company in CITY.companies.values()] == ["water", "power", "gas"] + ["network"] * 3


def test_unknown_hotlines_are_not_invented() -> None:
    hotlines = {code: company.hotline for code, company in CITY.companies.items()}

    assert hotlines == {
        "water": None,
        "power": "95598",
        "gas": None,
        "telecom_ct": "10000",
        "telecom_cm": "10086",
        "telecom_cu": "10010",
    }


def test_a_company_that_does_not_exist_is_refused() -> None:
    with pytest.raises(UnknownCompany):
        CITY.company("heating")


@pytest.mark.parametrize("number", ["0203001234", "9999999999"])
def test_a_water_account_number_has_ten_digits(number: str) -> None:
    assert CITY.company("water").account.fits(number)


@pytest.mark.parametrize(
    "number", ["020300123", "02030012345", "0203001234\n", " 0203001234", "０２０３００１２３４", "020300123A", ""]
)
def test_anything_else_is_no_water_account_number(number: str) -> None:
    assert not CITY.company("water").account.fits(number)


def test_power_accepts_new_and_old_numbers_and_nothing_between() -> None:
    account = CITY.company("power").account

    assert account.fits("4200012345678")
    assert account.fits("0012345678")
    assert not account.fits("00123456789")


def test_the_last_four_are_of_an_id_number_or_of_a_company_s_credit_code() -> None:
    proof = CITY.company("water").proof

    assert proof.kind == "holder_id_last4"
    assert proof.fits("002X")
    assert not proof.fits("002x")
    assert proof.fits("6618")
    assert proof.fits("1Y4A")
    assert not proof.fits("1I43"), "no credit code has an I"


def test_the_rules_of_paying() -> None:
    rules = CITY.payment_rules(TODAY)

    assert rules.order.life == timedelta(minutes=10)
    assert [pause.total_seconds() for pause in rules.order.query_after] == [15, 30, 60, 180, 300]
    assert (rules.creation_limit.per_bill_and_person, rules.creation_limit.window) == (3, timedelta(minutes=10))
    assert (rules.binding_limit.per_account, rules.binding_limit.per_person) == (5, 5)
    assert rules.binding_limit.window == timedelta(hours=1)
    assert rules.view.fresh_for == timedelta(minutes=5)
    assert rules.surcharge.allowed is False
    assert rules.surcharge.source == "国办函〔2020〕129号"


def test_before_the_first_version_nothing_is_in_force() -> None:
    with pytest.raises(NotInForce):
        CITY.payment_rules(date(2023, 3, 14))


def test_a_rule_is_in_force_on_its_first_day() -> None:
    assert CITY.payment_rules(date(2023, 3, 15)).view.fresh_for == timedelta(minutes=5)


def test_the_catalogue_covers_the_events_of_paying_binding_sharing_and_logging_in() -> None:
    assert {kind for kind in CITY.messages if not kind.startswith("application.")} == {
        "payment.succeeded",
        "share.accepted",
        "share.received_to_read",
        "share.received_to_pay",
        "share.ended",
        "share.left",
        "share.paid",
        "mandate.ending",
        "mandate.agent_ending",
        "mandate.accepted",
        "mandate.first_joined",
        "mandate.agent_expired",
        "mandate.resigned",
        "mandate.revoked",
        "mandate.expired",
        "payment.posted",
        "payment.posting_delayed",
        "payment.refund_started",
        "payment.refunded",
        "payment.refund_stuck",
        "payment.given_up",
        "binding.created",
        "binding.revoked",
        "session.reuse_detected",
        "material.quarantined",
        "survey.opened",
        "survey.held",
        "survey.fixed",
        "survey.released",
        "survey.lapsed",
        "tolerance.due_soon",
        "tolerance.overdue",
        "tolerance.fulfilled_late",
        "tolerance.released",
        "credit_record.noticed",
        "credit_record.confirmed",
        "credit_record.revoked",
        "credit_record.repaired",
        "acting.opened",
        "identity.proved_by_card",
        "identity.joined",
        "identity.parted",
    }
    assert set(CITY.silent) == {
        "acting.ended",
        "application.paper_added",
        "service_order.received",
        "platform_push.stuck",
        "platform_push.filed",
        "platform_push.dismissed",
        "application.withdrawn",
        "order_request.approved",
        "order_request.asked",
        "order_request.lapsed",
        "order_request.refused",
        "credit_record.objected",
        "payment.closed",
        "payment.failed",
        "payment.received_late",
        "posting.refused",
        "survey.cancelled",
        "survey.finished",
        "tolerance.fulfilled",
    }


def test_what_people_read_uses_plain_words() -> None:
    office_words = (
        "销账",
        "核销",
        "滞纳金",
        "容缺",
        "一体踏勘",
        "客户编号",
        "用户号",
        "系统繁忙",
        "非法",
        "有误",
        "！",
        "请勿",
    )
    texts = [message.inbox.title + message.inbox.body for versions in CITY.messages.values() for message in versions]
    texts += [
        text
        for versions in CITY.messages.values()
        for message in versions
        if message.mini_program is not None
        for text in message.mini_program.data.values()
    ]
    texts += [company.account.explanation + company.proof.hint for company in CITY.companies.values()]

    assert [word for word in office_words for text in texts if word in text] == []


def test_no_message_shows_a_whole_account_number_or_puts_anything_but_references_into_an_address() -> None:
    assert type(CITY.values["account_number"]).__name__ == "AccountNumberValue"
    for versions in CITY.messages.values():
        for message in versions:
            names = {piece.name for piece in pieces(message.page or "")} - {None}
            assert names <= {"payment_id", "account_id", "application_id"}


def test_at_most_three_templates_are_asked_for_in_one_go_when_paying() -> None:
    asked = {
        versions[-1].mini_program.template
        for kind, versions in CITY.messages.items()
        if kind.startswith("payment.") and versions[-1].mini_program is not None
    }

    assert asked == {"payment_received", "payment_posted", "payment_refund"}


def test_the_demo_has_invented_accounts_at_every_company() -> None:
    demo = load_demo(CITY)

    assert demo.invented
    assert [company.code for company in demo.companies] == list(CITY.companies)
    accounts = {account.number: account for account in demo.companies[0].accounts}
    assert [account.status for account in accounts.values()] == ["open", "open", "frozen", "open", "open"]
    assert "𠮷文远" in {account.holder_name for account in accounts.values()}
    everywhere = [account for company in demo.companies for account in company.accounts]
    assert all(account.address.startswith(("鄂城区", "华容区", "梁子湖区")) for account in everywhere)


def test_the_household_of_the_demo_owes_at_four_companies_and_has_paid_in_advance_at_one() -> None:
    home = "鄂城区凤凰街道滨湖路8号3栋1单元502"
    owed = {
        (company.code, account.number): (
            sum(bill.payable_fen for bill in account.bills if bill.status == "open"),
            account.balance_fen,
        )
        for company in load_demo(CITY).companies
        for account in company.accounts
        if account.address == home
    }

    assert owed == {
        ("water", "0203001234"): (10548, 0),
        ("power", "4200012345678"): (10944, 0),
        ("power", "4200012345679"): (0, 12350),
        ("gas", "Q20301234"): (8497, 0),
        ("telecom_ct", "07110012345678"): (8900, 0),
    }


def test_every_company_of_the_demo_can_show_more_than_a_year() -> None:
    for company in load_demo(CITY).companies:
        assert max(len(account.bills) for account in company.accounts) >= 13


def test_whoever_has_to_be_proven_by_a_meter_has_one_in_the_demo() -> None:
    for company in load_demo(CITY).companies:
        if CITY.company(company.code).proof.kind == "meter_number":
            assert all(account.meter_number for account in company.accounts)


def test_demo_account_of_the_contract_has_twelve_paid_bills_and_two_open_ones() -> None:
    account = load_demo(CITY).companies[0].accounts[0]

    assert (account.number, account.holder_name, account.holder_id_last4) == ("0203001234", "王小明", "002X")
    assert [bill.status for bill in account.bills] == ["open", "open"] + ["paid"] * 12
    assert [bill.payable_fen for bill in account.bills[:2]] == [4660, 5888]


def test_the_second_demo_account_owes_nothing() -> None:
    account = load_demo(CITY).companies[0].accounts[1]

    assert account.bills
    assert {bill.status for bill in account.bills} == {"paid"}


def test_every_link_of_a_message_leads_to_a_page_that_exists() -> None:
    pages = json.loads((Path(__file__).parents[2] / "web" / "src" / "pages.json").read_text())["pages"]
    known = {page["path"] for page in pages}
    linked = {version.page.partition("?")[0] for found in CITY.messages.values() for version in found if version.page}
    assert linked - known == set()
