"""When dev's clock leaps, what was planned is as near or far as before, and what looks at the clock is begun."""

from datetime import timedelta

from core import clock
from core.database import fetch
from core.queue import enqueue
from jobs import leaps, tasks
from jobs.worker import connector
from notifications.delivery import ASK_TASK
from tests.harness.spine import Spine

_DUE_IN = "select round(extract(epoch from scheduled_at - now()) / 60)::int as minutes from procrastinate_jobs where task_name = $1"


async def test_what_is_planned_moves_with_the_clock_and_what_looks_at_it_is_begun(spine: Spine) -> None:
    app = tasks.build(spine.services, connector(spine.services.settings.database_url, 1))
    assert set(leaps.AFTER_A_LEAP) <= {task.task.name for task in app.periodic_registry.periodic_tasks.values()}
    await enqueue(ASK_TASK, at=clock.now() + timedelta(hours=1), message_id=spine.services.settings.city, step=0)
    await leaps.leapt(timedelta(minutes=40))
    assert [row["minutes"] for row in await fetch(_DUE_IN, ASK_TASK)] == [20]
    await leaps.leapt(timedelta(minutes=-100))
    assert [row["minutes"] for row in await fetch(_DUE_IN, ASK_TASK)] == [120]
    begun = await fetch(
        "select task_name, count(*) as times from procrastinate_jobs where scheduled_at is null group by 1"
    )
    assert {row["task_name"]: row["times"] for row in begun if row["task_name"] in leaps.AFTER_A_LEAP} == dict.fromkeys(
        leaps.AFTER_A_LEAP, 2
    )
