"""What waits for a job and has none: planned anew, whatever the reason (a job given up, a row restored, a fault of ours)."""

from datetime import datetime, timedelta
from typing import NamedTuple

from core import clock
from core.database import fetch
from core.log import get_logger
from core.queue import defer_sql
from domain.applications.push_reports import REPORT_TASK
from domain.applications.pushes import WORK_TASK
from domain.billing.posting import POST_TASK
from domain.orders.delivery import TELL_TASK
from models.inbox import PROCESS_TASK
from models.lifecycle import DISPATCH_TASK
from models.payment import LIVE_STATUSES
from models.refund import MOST_BY_ITSELF
from notifications.intents import DELIVER_TASK
from payments.opening import WATCH_TASK
from payments.refunding import SUBMIT_TASK

log = get_logger(__name__)

_SOON, _LATER = timedelta(minutes=15), timedelta(minutes=30)
_HEARD_FOR = timedelta(days=7)
"""Events older than this are not gone through again; `lianban check` looks at everything."""
_MOST_AT_ONCE = 2_000


class Waiting(NamedTuple):
    """Rows that wait for `task`, which takes their id as `argument`: `rows` selects (id, since), orphaned `after` since."""

    name: str
    task: str
    argument: str
    after: timedelta
    rows: str
    stepwise: bool = False
    """The task counts its steps, from 0."""


def _events(kind: str, condition: str) -> str:
    """Events of a kind that have been dispatched, and whose consequence is missing."""
    return f"select e.id, e.at as since from event e where e.kind = '{kind}' and e.dispatched_at is not null and e.at > $1 and {condition}"


_LIVE = ", ".join(f"'{status}'" for status in LIVE_STATUSES)

KINDS = (
    Waiting(
        "payment", WATCH_TASK, "payment_id", _LATER,
        f"select id, created_at as since from payment where status in ({_LIVE})",
        stepwise=True,
    ),
    Waiting(
        "refund", SUBMIT_TASK, "refund_id", _LATER,
        "select id, created_at as since from refund where status not in ('succeeded', 'closed')",
        stepwise=True,
    ),
    Waiting(
        "posting", POST_TASK, "posting_id", _LATER,
        "select id, created_at as since from posting where status not in ('posted', 'refused')",
        stepwise=True,
    ),
    Waiting(
        "inbox", PROCESS_TASK, "inbox_id", _SOON,
        "select id, received_at as since from inbox where processed_at is null",
    ),
    Waiting(
        "event", DISPATCH_TASK, "event_id", _SOON,
        "select id, at as since from event where dispatched_at is null",
    ),
    Waiting(
        "message", DELIVER_TASK, "message_id", _LATER,
        "select id, created_at as since from message where status in ('pending', 'sending') and channel <> 'inbox'",
    ),
    Waiting(
        "order telling", TELL_TASK, "telling_id", _LATER,
        "select t.id, t.created_at as since from order_telling t where t.status not in ('told', 'refused', 'at_desk') and not exists ("
        "select from order_telling b where b.order_id = t.order_id and b.number < t.number and b.status not in ('told', 'refused', 'at_desk'))",
        stepwise=True,
    ),
    Waiting(
        "push", WORK_TASK, "push_id", _SOON,
        "select id, received_at as since from platform_push where status = 'received'",
    ),
    Waiting(
        "platform report", REPORT_TASK, "report_id", _LATER,
        "select r.id, r.created_at as since from platform_report r where r.status not in ('told', 'refused') and not exists ("
        "select from platform_report b where b.push_id = r.push_id and b.number < r.number and b.status not in ('told', 'refused'))",
        stepwise=True,
    ),
    Waiting(
        "payment without posting", "billing.open_posting", "event_id", _LATER,
        _events(
            "payment.succeeded",
            "exists (select 1 from payment p join payment_part part on part.payment_id = p.id where p.id = e.subject_id and p.status = 'succeeded'"
            " and not exists (select 1 from posting s where s.payment_id = p.id and s.part_id = part.id))",
        ),
    ),
    Waiting(
        "late money without refund", "payments.refund_late", "event_id", _LATER,
        _events(
            "payment.received_late",
            "exists (select 1 from payment p join payment_part part on part.payment_id = p.id where p.id = e.subject_id and p.status = 'received_late'"
            " and not exists (select 1 from refund r where r.payment_id = p.id and r.part_id = part.id))",
        ),
    ),
    Waiting(
        "refused posting without refund", "payments.refund_refused", "event_id", _LATER,
        _events(
            "posting.refused",
            "exists (select 1 from posting s where s.id = e.subject_id"
            " and not exists (select 1 from refund r where r.payment_id = s.payment_id and r.part_id = s.part_id))",
        ),
    ),
    Waiting(
        "closed refund without another", "payments.refund_again", "event_id", _LATER,
        _events(
            "refund.closed",
            "exists (select 1 from refund mine join refund every on every.payment_id = mine.payment_id and every.part_id = mine.part_id"
            f" where mine.id = e.subject_id having bool_and(every.status = 'closed') and count(*) < {MOST_BY_ITSELF})",
        ),
    ),
)  # fmt: skip
"""Everything that must not be left lying, and the task that takes it up. The tasks ask the state first, so one too many does no harm."""


def _selected(number: int, kind: Waiting) -> str:
    more = '{"step": 0}' if kind.stepwise else "{}"
    return (
        f"select '{kind.name}' as kind, '{kind.task}' as task, w.id, jsonb_build_object('{kind.argument}', w.id) || '{more}' as arguments"
        f" from ({kind.rows}) w where w.since < ${number}"
    )


_ARGUMENT = ", ".join(f"j.args->>'{argument}'" for argument in sorted({kind.argument for kind in KINDS}))
_PLAN = f"""
with pending as (
  select j.task_name as task, coalesce({_ARGUMENT}) as id from procrastinate_jobs j where j.status in ('todo', 'doing')
), orphan as (
  {" union all ".join(_selected(number, kind) for number, kind in enumerate(KINDS, 2))}
), chosen as (
  select o.* from orphan o where not exists (select 1 from pending p where p.task = o.task and p.id = o.id::text) limit {_MOST_AT_ONCE}
)
select kind, {defer_sql("task", "arguments")} as job from chosen
"""


async def sweep(now: datetime | None = None) -> int:
    """Plan the job of everything that waits for one and has none at this moment (None: now); how many."""
    now = now or clock.now()
    rows = await fetch(_PLAN, now - _HEARD_FOR, *(now - kind.after for kind in KINDS))
    if rows:
        found = [row["kind"] for row in rows]
        log.error("jobs.orphans_found", count=len(rows), kinds={kind: found.count(kind) for kind in sorted(set(found))})
    return len(rows)
