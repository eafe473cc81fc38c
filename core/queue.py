"""Background work, enqueued in the same transaction as the data it is about.

Calls procrastinate's own SQL function on our connection: the job exists if and only if the data does. Tasks are named by string,
since layers forbid importing jobs; a test compares every name with the registered tasks.
"""

from datetime import datetime
from typing import Any

import msgspec

from core import clock
from core.database import fetch


def defer_sql(task: str, arguments: str, *, at: str = "null", lock: str = "null", queue: str = "'default'") -> str:
    """The SQL expression that enqueues a job, for statements that write data and job at once.

    Each argument is itself an SQL expression: `task` text, `arguments` jsonb, `at` timestamptz, `lock` and `queue` text.
    """
    row = f"row({queue}, {task}, 0, {lock}, null, {arguments}, {at})::procrastinate_job_to_defer_v1"
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
