"""When all can come: the first time that lies in a window of the applicant's and in a free slot of a crew of each company."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID


class Window(NamedTuple):
    """When it suits the applicant."""

    starts_at: datetime
    ends_at: datetime


class Slot(NamedTuple):
    """A free time of one crew."""

    id: UUID
    starts_at: datetime
    ends_at: datetime


class Found(NamedTuple):
    """The time found, and the slot of each company that it takes."""

    starts_at: datetime
    ends_at: datetime
    slots: dict[str, UUID]


def first_common(
    windows: Iterable[Window], free: Mapping[str, Sequence[Slot]], duration: timedelta, not_before: datetime
) -> Found | None:
    """The earliest `duration` from `not_before` on that suits everybody; None when there is none.

    A company gives the shortest of its slots that contain it, the earlier of two alike, so that its long ones stay for others. The
    earliest time begins where a window or a slot begins, or at `not_before`: between these nothing new becomes possible.

    Raises:
        ValueError: no company, or no duration.
    """
    if not free or duration <= timedelta():
        raise ValueError("a survey is of at least one company, and takes time")
    open_windows = [window for window in windows if window.ends_at - duration >= not_before]
    candidates = {not_before, *(window.starts_at for window in open_windows)}
    candidates |= {slot.starts_at for slots in free.values() for slot in slots}
    for starts_at in sorted(moment for moment in candidates if moment >= not_before):
        ends_at = starts_at + duration
        if not any(window.starts_at <= starts_at and ends_at <= window.ends_at for window in open_windows):
            continue
        taken = {company: _fitting(slots, starts_at, ends_at) for company, slots in free.items()}
        chosen = {company: slot.id for company, slot in taken.items() if slot is not None}
        if len(chosen) == len(free):
            return Found(starts_at, ends_at, chosen)
    return None


def _fitting(slots: Sequence[Slot], starts_at: datetime, ends_at: datetime) -> Slot | None:
    fitting = (slot for slot in slots if slot.starts_at <= starts_at and ends_at <= slot.ends_at)
    return min(fitting, key=lambda slot: (slot.ends_at - slot.starts_at, slot.starts_at, slot.id), default=None)
