"""The shape of ``crews.toml``: how orders reach the companies, and how one visit of all of them is arranged."""

from datetime import date
from typing import Annotated

from msgspec import Meta

from cities.checks import check_days
from cities.errors import CityPackInvalid
from cities.shapes import Duration, Rule, Shape, in_force


class SurveyRule(Rule, frozen=True, kw_only=True):
    """How a joint survey is arranged.

    It takes `duration`, begins no earlier than `lead` from now, and windows reach no further than `horizon`. What is held must be
    confirmed within `confirm_within`, and before it begins.
    """

    duration: Duration
    lead: Duration
    horizon: Duration
    most_windows: Annotated[int, Meta(ge=1, le=50)]
    confirm_within: Duration


class DeliveryRule(Rule, frozen=True, kw_only=True):
    """How an order reaches its company: tried again after each of `retry_after`, then always after the last; late after `late_after`.

    A missing report is asked for once it has been missing for `ask_after`.
    """

    retry_after: Annotated[tuple[Duration, ...], Meta(min_length=1, max_length=20)]
    late_after: Duration
    ask_after: Duration


class CrewsFile(Shape, frozen=True, kw_only=True):
    """Everything about the companies' side of an application that is the city's to say."""

    surveys: Annotated[tuple[SurveyRule, ...], Meta(min_length=1)]
    deliveries: Annotated[tuple[DeliveryRule, ...], Meta(min_length=1)]

    def survey(self, on: date) -> SurveyRule:
        """Raises :class:`cities.errors.NotInForce` for a day before the first."""
        return in_force(self.surveys, on, "survey")

    def delivery(self, on: date) -> DeliveryRule:
        """Raises :class:`cities.errors.NotInForce` for a day before the first."""
        return in_force(self.deliveries, on, "delivery")


def check_crews(file: str, found: CrewsFile) -> None:
    """One rule a day; a survey can be confirmed before it begins."""
    check_days(file, "$.surveys", found.surveys)
    check_days(file, "$.deliveries", found.deliveries)
    for index, rule in enumerate(found.surveys):
        if rule.lead >= rule.horizon:
            raise CityPackInvalid(file, f"$.surveys[{index}].lead", "shorter than the horizon")
