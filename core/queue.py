"""Background work, enqueued in the same transaction as the data it is about.

Calls procrastinate's own SQL function on our connection: the job exists if and only if the data does. Tasks are named by string,
since layers forbid importing jobs; a test compares every name with the registered tasks.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from core import clock
from core.database import fetch, violated_constraint


def defer_sql(
    task: str, arguments: str, *, at: str = "null", lock: str = "null", once: str = "null", queue: str = "'default'"
) -> str:
    """The SQL expression that enqueues a job, for statements that write data and job at once.

    Each argument is itself an SQL expression: `task` text, `arguments` jsonb, `at` timestamptz, `lock`, `once` and `queue` text.
    """
    row = f"row({queue}, {task}, 0, {lock}, {once}, {arguments}, {at})::procrastinate_job_to_defer_v1"
    return f"procrastinate_defer_jobs_v1(array[{row}])"


_DEFER = "select " + defer_sql("$2::text", "$4::text::jsonb", at="$5::timestamptz", lock="$3::text", queue="$1::text")


async def enqueue(
    task: str, *, at: datetime | None = None, lock: str | None = None, queue: str = "default", **arguments: Any
) -> None:
    """Enqueue `task` to run once the current transaction has committed (at `at`, if given).

    Arguments are identifiers, never personal values: they lie in plain text in the job table. `lock`: jobs with the same lock
    run one after another.
    """
    await fetch(_DEFER, queue, task, lock, msgspec.json.encode(arguments).decode(), clock.to_real(at) if at else None)


_WAITING_ONCE = "procrastinate_jobs_queueing_lock_idx_v1"
_DEFER_MISSING = """
select {defer} from unnest($2::uuid[]) as wanted (id)
where not exists (select 1 from procrastinate_jobs where queueing_lock = $1 || ':' || wanted.id and status = 'todo')
""".format(  # noqa: S608  constants of ours
    defer=defer_sql("$1::text", "jsonb_build_object($3::text, wanted.id)", at="$4", once="$1 || ':' || wanted.id")
)


async def enqueue_unless_waiting(task: str, argument: str, ids: Sequence[UUID], *, at: datetime) -> None:
    """Enqueue `task` once for each of `ids`, given as `argument`, unless one for it waits already."""
    try:
        await fetch(_DEFER_MISSING, task, list(ids), argument, clock.to_real(at))
    except Exception as error:
        # Somebody was quicker: then one waits.
        if violated_constraint(error) != _WAITING_ONCE:
            raise
