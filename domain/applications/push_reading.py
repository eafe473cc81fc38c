"""What a push says, and why it cannot become a case as it is: pure, so that staff see the same as the job does."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, NamedTuple

from cities.applications import Notice
from cities.errors import NotInForce
from cities.forms import Problem
from cities.schema import City
from core import clock
from domain.applications.drafts import FORM
from domain.applications.facts import Facts, facts_of
from gateways.construction_platform import ProjectPush, PushUnreadable, read_push

PROBLEMS = (
    "not_json", "schema_unknown", "fields_wrong", "form_unknown", "answers_wrong", "no_project", "mains_wrong", "notice_unknown",
    "authorization_wrong", "no_company", "already_filed",
)  # fmt: skip
"""Why a push waits for staff. The list is closed."""
_SKEW = timedelta(minutes=5)


class Stuck(NamedTuple):
    """Why: a word of :data:`PROBLEMS`; what is wrong where, without any value."""

    problem: str
    details: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True)
class Understood:
    """A push that can become a case."""

    push: ProjectPush
    answers: dict[str, Any]
    facts: Facts
    notice: Notice
    project_code: str

    def is_laid(self, service: str, city: City) -> bool:
        """True when the main of this service was laid beforehand and the city promises the same day for it."""
        return service in self.push.mains and city.promises.is_same_day(service, clock.today())


def understand(city: City, content: bytes) -> Understood | Stuck:
    """Read a push by the rules of today."""
    try:
        push = read_push(content)
    except PushUnreadable as unreadable:
        return Stuck(unreadable.reason, (Problem("", unreadable.reason, unreadable.where),))
    form = city.form(FORM, clock.today())
    if push.form_version != form.version:
        return Stuck("form_unknown", (Problem("/form_version", "form_unknown", f"现行的采集单是第 {form.version} 版"),))
    if problems := form.problems(push.answers):
        return Stuck("answers_wrong", tuple(_within(problem) for problem in problems))
    answers = form.cleaned(push.answers)
    facts = facts_of(city, answers)
    code = _project_code(answers)
    if not facts.is_organization or code is None or facts.has_agent:
        sentence = "推送的是单位的工程项目，要有项目代码，不填经办人"
        return Stuck("no_project", (Problem("/answers/project/code", "no_project", sentence),))
    if set(push.mains) - set(facts.services):
        return Stuck("mains_wrong", (Problem("/mains", "mains_wrong", "管线已到位的服务不在这次要接的里面"),))
    if {service for _, service in facts.companies} != set(facts.services):
        return Stuck("no_company", (Problem("/answers/services", "no_company", "有的服务还没有企业接入"),))
    notice = _notice(city, push.authorization.notice_version)
    if notice is None:
        return Stuck(
            "notice_unknown", (Problem("/authorization/notice_version", "notice_unknown", "不是现行的告知书"),)
        )
    wanted = {company for company, _ in facts.companies}
    if set(push.authorization.companies) != wanted or push.authorization.given_at > clock.now() + _SKEW:
        sentence = f"授权要逐家写明接收信息的企业：{'、'.join(city.company(one).short_name for one in sorted(wanted))}"
        return Stuck("authorization_wrong", (Problem("/authorization", "authorization_wrong", sentence),))
    return Understood(push, answers, facts, notice, code)


def _within(problem: Problem) -> Problem:
    return Problem(f"/answers{problem.pointer}", problem.code, problem.sentence)


def _notice(city: City, version: str) -> Notice | None:
    try:
        notice = city.applications.notice(clock.today())
    except NotInForce:
        return None
    return notice if notice.version == version else None


def _project_code(answers: Mapping[str, Any]) -> str | None:
    code = answers.get("project", {}).get("code")
    return code if isinstance(code, str) else None
