"""The shape of ``retention.toml``: how long what is kept about people, but needed for a time only, is kept."""

from datetime import date, timedelta
from typing import Annotated

from msgspec import Meta

from cities.checks import check_days
from cities.errors import CityPackInvalid
from cities.shapes import Duration, Rule, Shape, in_force

LEAST_OF_LOGS = timedelta(days=183)
"""网络安全法 article 21 (3): logs of what happened on the network, six months at least."""
_LOGS = ("received", "sessions")


class RetentionRule(Rule, frozen=True, kw_only=True):
    """Of rows that stay, their contents are blanked: of what came from outside (`received`), of messages that left (`sent_messages`)
    and of those in people's inboxes (`inbox_messages`), of logins that are over the name of the device (`sessions`).

    Removed altogether: codes sent to phones, quotes nobody paid, trips to identity sources, spent login codes and refresh tokens.
    """

    received: Duration
    sent_messages: Duration
    inbox_messages: Duration
    sessions: Duration
    phone_codes: Duration
    quotes: Duration
    login_attempts: Duration
    spent_codes: Duration
    refresh_tokens: Duration


class RetentionFile(Shape, frozen=True, kw_only=True):
    """How long what is kept."""

    retention: Annotated[tuple[RetentionRule, ...], Meta(min_length=1)]

    def rule(self, on: date) -> RetentionRule:
        """Raises :class:`cities.errors.NotInForce` for a day before the first."""
        return in_force(self.retention, on, "retention")


def check_retention(file: str, found: RetentionFile) -> None:
    """One rule a day; what counts as a log is kept as long as the law wants."""
    check_days(file, "$.retention", found.retention)
    for index, rule in enumerate(found.retention):
        for name in _LOGS:
            if getattr(rule, name) < LEAST_OF_LOGS:
                raise CityPackInvalid(file, f"$.retention[{index}].{name}", "logs are kept for six months at least")
