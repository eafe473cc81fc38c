"""How much work is waiting, for operators. The queue keeps real time, so it is asked in real time."""

from typing import NamedTuple

from core import clock
from core.database import fetch_one

_BACKLOG = """
with todo as (
  select id, scheduled_at from procrastinate_jobs where status = 'todo'
), due as (
  select id, scheduled_at from todo where scheduled_at is null or scheduled_at <= $1
)
select
  (select count(*) from due) as due,
  (select count(*) from todo) - (select count(*) from due) as later,
  (select count(*) from procrastinate_jobs where status = 'doing') as doing,
  (select count(*) from procrastinate_jobs where status = 'failed') as failed,
  least(
    (select min(scheduled_at) from due),
    -- What is due at once has no time of its own; ids are given in order, so the lowest is the oldest.
    (select min(e.at) from procrastinate_events e
      where e.type = 'deferred' and e.job_id = (select min(id) from due where scheduled_at is null))
  ) as oldest
"""


class Backlog(NamedTuple):
    """Jobs by state, and for how long the oldest that is due has been so, in seconds."""

    due: int
    later: int
    doing: int
    failed: int
    oldest_due_s: float


async def backlog() -> Backlog:
    """The queue as it stands."""
    now = clock.to_real(clock.now())
    row = await fetch_one(_BACKLOG, now)
    assert row is not None
    oldest_s = (now - row["oldest"]).total_seconds() if row["oldest"] else 0.0
    return Backlog(row["due"], row["later"], row["doing"], row["failed"], max(0.0, oldest_s))
