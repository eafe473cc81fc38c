"""The answer to a correction: changed answers of the form, looked at like the whole, within what this company sees."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from cities.forms import Form
from cities.schema import City
from core.errors import LianbanError, NotFound
from domain.applications.drafts import FORM, Drafts
from domain.applications.filing import AnswersIncomplete
from domain.identity.tokens import Caller
from domain.orders.answering import OrderAnswers
from domain.orders.content import SERVICES, corrected
from domain.orders.papers import Papers
from models.application import Application, way_to_application
from models.service_order import ServiceOrder

_FIXED = (
    "/applicant/kind", "/applicant/id_number", "/applicant/credit_code", "/services", "/network/companies", "/network/primary",
)  # fmt: skip
"""What decides whose case this is and who works on it: another answer to that is another application."""


class CorrectionOutside(LianbanError):
    """A correction changes the common part and the company's own, never who applies or what for. data: ``pointers``."""

    code = "correction_outside"


class Correcting:
    """Checks answers to corrections and gives them."""

    def __init__(self, city: City, drafts: Drafts, papers: Papers, answers: OrderAnswers) -> None:
        self._city = city
        self._drafts = drafts
        self._papers = papers
        self._answers = answers

    async def answer(self, caller: Caller, order_id: UUID, changes: Mapping[str, Any], note: str) -> ServiceOrder:
        """Give the answer; `changes` are new values by pointer into the form.

        Raises:
            NotFound, IllegalMove. CorrectionOutside, AnswersIncomplete.
        """
        order = await ServiceOrder.get_or_none(id=order_id)
        way = await way_to_application(order.application_id, caller.principal, "file") if order else None
        if order is None or way is None:
            raise NotFound("service_order")
        if changes:
            application = await Application.get(id=order.application_id)
            form = self._city.form_version(FORM, application.form_version)
            _check_pointers(form, order.service, changes)
            answers: dict[str, Any] = self._drafts.answers_of(application)
            for paper in await self._papers.of([order.id], ["answer"]):
                answers = corrected(answers, paper.content["changes"])
            try:
                problems = form.problems(form.cleaned(corrected(answers, changes)))
            except (AttributeError, IndexError, KeyError, TypeError, ValueError):
                raise CorrectionOutside(pointers=sorted(changes)) from None
            if problems:
                raise AnswersIncomplete(problems=[problem._asdict() for problem in problems])
        return await self._answers.answer(caller, order_id, dict(changes), note)


def _check_pointers(form: Form, service: str, changes: Mapping[str, Any]) -> None:
    others = tuple(f"/{other}" for other in SERVICES if other != service)
    outside = [
        pointer
        for pointer in changes
        if form.field(pointer) is None
        or any(pointer == root or pointer.startswith(f"{root}/") for root in (*others, *_FIXED))
        or any(root.startswith(f"{pointer}/") for root in _FIXED)
    ]
    if outside:
        raise CorrectionOutside(pointers=sorted(outside))
