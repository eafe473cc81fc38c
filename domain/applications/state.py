"""Where a case stands: a pure function of its orders, so that it can never say something else than they do."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from models.service_order import APPLICANTS_TURN, BEFORE_ACCEPTANCE, OVER, OrderStatus

_CONNECTED = (OrderStatus.CONNECTED, OrderStatus.ARCHIVED)


class Stage(StrEnum):
    """Where a case stands, for its applicant."""

    FILED = "filed"
    """No company has decided yet."""
    YOUR_TURN = "your_turn"
    WORKING = "working"
    PARTLY_CONNECTED = "partly_connected"
    """Something is connected; the rest runs still, or has ended otherwise (`finished`)."""
    CONNECTED = "connected"
    REFUSED = "refused"
    WITHDRAWN = "withdrawn"


class Standing(NamedTuple):
    """An order as far as the joint state goes."""

    company: str
    status: OrderStatus


@dataclass(frozen=True, slots=True)
class Joint:
    """The joint state, with companies by what became of their part."""

    stage: Stage
    finished: bool
    connected: tuple[str, ...]
    running: tuple[str, ...]
    ended: tuple[str, ...]
    your_turn: tuple[str, ...]


def joint(orders: Iterable[Standing]) -> Joint:
    """Fold the orders of one case; those handed on to another company count no more. Their order does not matter."""
    counted = sorted(one for one in orders if one.status != OrderStatus.REASSIGNED)
    connected = tuple(one.company for one in counted if one.status in _CONNECTED)
    running = tuple(one.company for one in counted if one.status not in OVER)
    ended = tuple(one.company for one in counted if one.status in OVER and one.status not in _CONNECTED)
    yours = tuple(one.company for one in counted if one.status in APPLICANTS_TURN)
    return Joint(_stage(counted, connected, running, ended, yours), not running, connected, running, ended, yours)


def _stage(
    counted: list[Standing],
    connected: tuple[str, ...],
    running: tuple[str, ...],
    ended: tuple[str, ...],
    yours: tuple[str, ...],
) -> Stage:
    if yours:
        return Stage.YOUR_TURN
    if connected:
        return Stage.PARTLY_CONNECTED if running or ended else Stage.CONNECTED
    if running:
        undecided = all(one.status in (*BEFORE_ACCEPTANCE, *OVER) for one in counted)
        return Stage.FILED if undecided else Stage.WORKING
    return Stage.WITHDRAWN if all(one.status == OrderStatus.WITHDRAWN for one in counted) else Stage.REFUSED
