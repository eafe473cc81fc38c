"""The application form: what is wrong is named in Chinese where it stands, what is right passes, whatever comes costs little."""

from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cities.errors import CityPackInvalid, NotInForce
from cities.forms import MOST_PROBLEMS
from cities.loader import load, load_city
from tests.cities import packs
from tests.cities.answers import FACTORY, PERSON, changed

CITY = load_city("ezhou")
FORM = CITY.form("application", date(2026, 11, 23))

WRONG: dict[str, tuple[dict[str, Any], str, str, str]] = {
    "no name": (changed(PERSON, "/applicant/name", ...), "/applicant/name", "missing", "填写申请人名称"),
    "nothing chosen": (changed(changed(changed(PERSON, "/services", []), "/water", ...), "/network", ...), "/services", "missing", "要接哪几样：至少选一样"),
    "an ID number cut off": (
        changed(PERSON, "/applicant/id_number", "1101051949123"), "/applicant/id_number", "wrong", "身份证号是 18 位，您填了 13 位"
    ),
    "an ID number's check digit": (
        changed(PERSON, "/applicant/id_number", "110105194912310021"), "/applicant/id_number", "wrong", "身份证号对不上，核对一遍出生日期和最后一位"
    ),
    "born tomorrow": (
        changed(PERSON, "/applicant/id_number", "110105209912310017"), "/applicant/id_number", "wrong", "身份证号对不上，核对一遍出生日期和最后一位"
    ),
    "a credit code's check character": (
        changed(FACTORY, "/applicant/credit_code", "91350100M000100Y44"), "/applicant/credit_code", "wrong",
        "统一社会信用代码最后一位对不上，核对一遍，或拍营业执照",
    ),
    "a mobile number": (changed(PERSON, "/contact/mobile", "12812345678"), "/contact/mobile", "wrong", "手机号对不上，核对一遍"),
    "a day that is none": (
        changed(FACTORY, "/site/planned_on", "2026-02-30"), "/site/planned_on", "wrong", "希望接通的日期：写成 2026-12-31 这样的日期"
    ),
    "a place elsewhere": (changed(PERSON, "/site/area", "420106"), "/site/area", "not_offered", "所在的街道、乡镇或功能区要从列出的里面选"),
    "a meter nobody makes": (changed(FACTORY, "/water/caliber_mm", 81), "/water/caliber_mm", "not_offered", "水表口径要从列出的里面选"),
    "a number as text": (changed(FACTORY, "/power/applied_kw", "180"), "/power/applied_kw", "wrong_type", "一共要多少千瓦要填数字"),
    "a line of a list": (
        changed(FACTORY, "/gas/devices/0/quantity", 501), "/gas/devices/0/quantity", "too_great", "燃气设备第 1 项：台数最多 500，核对单位"
    ),
    "a carrier of nowhere": (changed(FACTORY, "/network/companies", ["water"]), "/network/companies/0", "wrong", "宽带公司要从列出的里面选"),
    "a person with a company's code": (
        changed(PERSON, "/applicant/credit_code", "91350100M000100Y43"), "/applicant/credit_code", "not_wanted", "统一社会信用代码在这种情况下不用填"
    ),
    "gas that was not asked for": (changed(PERSON, "/gas", FACTORY["gas"]), "/gas", "not_wanted", "用气在这种情况下不用填"),
    "water without its block": (changed(PERSON, "/water", ...), "/water", "missing", "填写用水"),
    "low voltage in kVA": (
        changed(FACTORY, "/power/voltage", "380v"), "/power/applied_kva", "not_wanted", "变压器容量（千伏安）在这种情况下不用填"
    ),
    "high voltage without kVA": (changed(FACTORY, "/power/applied_kva", ...), "/power/applied_kva", "missing", "填写变压器容量（千伏安）"),
    "more kW than kVA": (
        changed(FACTORY, "/power/applied_kw", 200.5), "/power/applied_kw", "kw_above_kva", "千瓦数不会大于变压器的千伏安数；核对两个数，我们不替您换算"
    ),
    "an important user on one line": (
        changed(FACTORY, "/power/important", "special"), "/power/supply", "important_on_one_supply",
        "特级和一级重要用户至少要两路电源；改选电源，或核对是不是重要用户",
    ),
    "no low risk above 24 m": (
        changed(FACTORY, "/project/height_m", 24.1), "/project/low_risk", "not_low_risk",
        "低风险小型项目只限 1 万平方米、24 米以内，不存放危险品的一般厂房和仓库；改成普通项目，或核对面积、高度和用途",
    ),
    "gas without air": (changed(FACTORY, "/gas/ventilated", False), "/gas/ventilated", "unventilated_gas", "装燃气设备的房间要能通风；先解决通风，再申请用气"),
    "temporary without an end": (changed(PERSON, "/term", "temporary"), "/temporary_until", "missing", "填写临时用到哪一天"),
    "connected before the start": (
        changed(FACTORY, "/site/planned_start", "2026-12-02"), "/site/planned_start", "connected_before_start",
        "计划开工日期在希望接通的日期之后，核对这两个日期",
    ),
    "a first carrier that was not chosen": (
        changed(PERSON, "/network/primary", "telecom_cu"), "/network/primary", "primary_not_chosen", "主用哪家：要是选中的宽带公司里的一家"
    ),
    "something nobody asked": (changed(PERSON, "/site/a~b", 1), "/site/a~0b", "unknown", "这份申请表没有这一项，去掉它"),
}  # fmt: skip


@pytest.mark.parametrize("answers", [PERSON, FACTORY], ids=["a household", "a factory"])
def test_what_is_right_passes(answers: dict[str, Any]) -> None:
    assert FORM.problems(answers) == []


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_named_in_chinese_where_it_stands(name: str) -> None:
    answers, pointer, code, sentence = WRONG[name]
    assert FORM.problems(answers) == [(pointer, code, sentence)]


def test_a_draft_is_told_what_is_wrong_but_not_what_is_missing() -> None:
    draft = {"services": ["gas"], "contact": {"mobile": "138"}}
    assert [problem.pointer for problem in FORM.problems(draft, partial=True)] == ["/contact/mobile"]
    assert "/gas" in [problem.pointer for problem in FORM.problems(draft)]


def test_problems_come_in_the_order_of_the_form() -> None:
    assert [problem.pointer for problem in FORM.problems({})] == [
        "/applicant",
        "/contact",
        "/services",
        "/term",
        "/site",
    ]


def test_numbers_are_taken_as_people_write_them() -> None:
    typed = changed(PERSON, "/contact/mobile", " １３８-1234 5678 ")
    typed = changed(typed, "/applicant/id_number", "110105 19491231 002x")
    typed = changed(typed, "/site/address", " 滨湖南路18号-3栋 ")
    cleaned = FORM.cleaned(typed)
    assert cleaned["contact"]["mobile"] == "13812345678"
    assert cleaned["applicant"]["id_number"] == "11010519491231002X"
    assert cleaned["site"]["address"] == "滨湖南路18号-3栋"
    assert FORM.problems(cleaned) == []


def _deep(levels: int) -> Any:
    value: Any = {}
    for _ in range(levels):
        value = {"site": value}
    return value


@pytest.mark.parametrize(
    "answers",
    [_deep(5000), {"services": [1] * 5000}, {"remark": "长" * 50_000}, {"water": {"daily_m3": 10**400}}],
    ids=["deep", "wide", "long", "a number without end"],
)
def test_what_is_too_large_is_refused_before_it_is_looked_at(answers: Any) -> None:
    assert [problem.code for problem in FORM.problems(answers)] == ["too_large"]
    assert FORM.cleaned(answers) == answers


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(max_size=8) | st.sampled_from(sorted(FACTORY)), inner, max_size=5)
    ),
    max_leaves=20,
)


@given(answers=_VALUES)
def test_whatever_comes_is_judged_and_no_value_is_repeated(answers: Any) -> None:
    problems = FORM.problems(answers)
    assert problems
    assert len(problems) <= MOST_PROBLEMS
    if isinstance(answers, dict):
        FORM.cleaned(answers)


def test_an_old_case_is_read_with_its_own_version() -> None:
    assert CITY.form_version("application", 1) is FORM
    with pytest.raises(NotInForce):
        CITY.form_version("application", 2)
    with pytest.raises(NotInForce):
        CITY.form("application", date(2022, 12, 31))


_P = "schema.properties"
FAULTS: dict[str, tuple[packs.Fault, str]] = {
    "a field without a title": (packs.drop(f"{_P}.site.properties.address.title"), "$.schema.properties.site.properties.address.title"),
    "a choice without a title": (packs.drop(f"{_P}.term.oneOf.0.title"), "$.schema.properties.term.oneOf[0]"),
    "a text without an end": (packs.drop(f"{_P}.remark.maxLength"), "$.schema.properties.remark.maxLength"),
    "a number without an end": (packs.drop(f"{_P}.gas.properties.annual_m3.maximum"), "$.schema.properties.gas.properties.annual_m3"),
    "a list without an end": (packs.drop(f"{_P}.services.maxItems"), "$.schema.properties.services.maxItems"),
    "an open object": (packs.put(f"{_P}.site.additionalProperties", True), "$.schema.properties.site.additionalProperties"),
    "a required field that is none": (packs.put("schema.required", ["house"]), "$.schema.required"),
    "a word of JSON Schema we do not use": (packs.put(f"{_P}.remark.$ref", "https://elsewhere.example"), "$.schema.properties.remark"),
    "a regular expression": (packs.put(f"{_P}.remark.pattern", "^(a+)+$"), "$.schema.properties.remark"),
    "an unknown format": (packs.put(f"{_P}.remark.format", "uri"), "$.schema.properties.remark.format"),
    "a condition on a field that is none": (
        packs.put("schema.allOf.0.if.properties", {"house": {"const": 1}}), "$.schema.allOf[0].if.properties.house"
    ),
    "a condition on a choice that is none": (
        packs.put("impossible.0.when.properties.site.properties.right.const", "king"), "$.impossible[0].when.properties.site.properties.right"
    ),
    "a correction nowhere": (packs.put("impossible.0.at", "/house"), "$.impossible[0].at"),
    "a comparison with nothing": (packs.put("not_greater.0.greater", "/house"), "$.not_greater[0]"),
    "another's name": (packs.put("version", 2), "$.name"),
    "no day on which it is in force": (packs.put("effective_to", "2024-01-01"), "$"),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_in_the_form_is_refused_where_it_stands(tmp_path: Path, fault: str) -> None:
    how, path = FAULTS[fault]
    with pytest.raises(CityPackInvalid) as refused:
        load(packs.change(tmp_path, "forms/application-1.json", how))
    assert refused.value.path == path, refused.value.fault
