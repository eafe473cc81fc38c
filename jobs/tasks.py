"""All tasks by name. Jobs are at-least-once: each asks the state first and stops politely."""

from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import procrastinate
from procrastinate import BaseRetryStrategy, RetryDecision
from procrastinate.jobs import Job

from core.database import is_away
from core.failpoint import failpoint
from core.log import bound, get_logger
from domain.applications.push_reports import REPORT_TASK
from domain.applications.pushes import WORK_TASK
from domain.billing.overview import CATCH_UP_TASK
from domain.billing.posting import POST_TASK
from domain.deadlines.calendars import RECOUNT_TASK
from domain.identity.joining import SETTLE_TASK
from domain.identity.official_account import LEARN_TASK, learn_follower
from domain.identity.phone_codes import SEND_CODE_TASK
from domain.materials.materials import ERASE_TASK, SCAN_TASK
from domain.orders.delivery import TELL_TASK
from domain.services import Services
from domain.surveys.appointments import LOOK_TASK, PLAN_TASK
from jobs import events, inbox, timetable
from jobs.events import LISTENERS, Listener
from models.inbox import PROCESS_TASK
from models.lifecycle import DISPATCH_TASK, Event
from notifications.delivery import ASK_TASK
from notifications.intents import DELIVER_TASK
from payments.following import LAST_LOOK_TASK
from payments.opening import WATCH_TASK
from payments.refunding import SUBMIT_TASK

log = get_logger(__name__)

_WAITS_S = (1, 2, 5, 15, 30, 60, 120, 300, 600)
_MOST_ATTEMPTS = 200
"""About a day and a half: what has not gone by then needs a person, and says so as an error."""


class Patience(BaseRetryStrategy):
    """Try again soon, then every ten minutes; a database that is away does not count as the job's own failure."""

    def get_retry_decision(self, *, exception: BaseException, job: Job) -> RetryDecision | None:
        if job.attempts >= _MOST_ATTEMPTS and not is_away(exception):
            log.error("job.given_up", task_name=job.task_name, job_id=job.id, error_type=type(exception).__name__)
            return None
        log.warning(
            "job.failed",
            task_name=job.task_name,
            job_id=job.id,
            attempts=job.attempts,
            error_type=type(exception).__name__,
            exc_info=exception,
        )
        return RetryDecision(retry_in={"seconds": _WAITS_S[min(job.attempts, len(_WAITS_S) - 1)]})


def tasks(services: Services) -> dict[str, Callable[..., Awaitable[None]]]:
    """Task name → what it does with the job's arguments."""
    table: dict[str, Callable[..., Awaitable[None]]] = {
        DISPATCH_TASK: lambda event_id: events.dispatch(UUID(event_id)),
        PROCESS_TASK: lambda inbox_id: inbox.process(services, UUID(inbox_id)),
        WATCH_TASK: lambda payment_id, step: services.follower.watch(UUID(payment_id), step),
        LAST_LOOK_TASK: lambda payment_id: services.follower.last_look(UUID(payment_id)),
        SUBMIT_TASK: lambda refund_id, step: services.refunding.follow(UUID(refund_id), step),
        CATCH_UP_TASK: lambda account_id: services.overview.catch_up(UUID(account_id)),
        RECOUNT_TASK: services.recounting.recount,
        POST_TASK: lambda posting_id, step: services.posting.post(UUID(posting_id), step),
        TELL_TASK: lambda telling_id, step: services.order_delivery.tell(UUID(telling_id), step),
        WORK_TASK: lambda push_id: _work_push(services, UUID(push_id)),
        REPORT_TASK: lambda report_id, step: services.push_reports.tell(UUID(report_id), step),
        PLAN_TASK: lambda survey_id: _plan_survey(services, UUID(survey_id)),
        LOOK_TASK: lambda survey_id, held: services.surveys.look(UUID(survey_id), held),
        SETTLE_TASK: lambda join_id: services.joining.settle(UUID(join_id)),
        LEARN_TASK: lambda user_id: learn_follower(services.followers, services.vault, UUID(user_id)),
        DELIVER_TASK: lambda message_id: services.delivery.deliver(UUID(message_id)),
        SCAN_TASK: lambda material_id: services.materials.scan(UUID(material_id)),
        ERASE_TASK: lambda material_id: services.materials.erase(UUID(material_id)),
        SEND_CODE_TASK: lambda code_id: services.phone_codes.send(UUID(code_id)),
        ASK_TASK: lambda message_id, step: services.delivery.ask(UUID(message_id), step),
    }
    for listeners in LISTENERS.values():
        for name, listener in listeners.items():
            table[name] = _heard(services, listener)
    return table


def build(services: Services, connector: procrastinate.BaseConnector) -> procrastinate.App:
    """The procrastinate application with every task and the timetable."""
    app = procrastinate.App(connector=connector)
    for name, work in tasks(services).items():
        app.task(name=name, retry=Patience())(_bound(name, work))
    timetable.register(app, services)
    return app


async def _work_push(services: Services, push_id: UUID) -> None:
    outcome = await services.pushes.work(push_id)
    log.info("push.worked", push_id=str(push_id), outcome=outcome)


async def _plan_survey(services: Services, survey_id: UUID) -> None:
    outcome = await services.surveys.plan(survey_id)
    log.info("survey.planned", survey_id=str(survey_id), outcome=outcome)


def _heard(services: Services, listener: Listener) -> Callable[..., Awaitable[None]]:
    async def run(event_id: str) -> None:
        await listener(services, await Event.get(id=UUID(event_id)))

    return run


def _bound(name: str, work: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
    async def run(**arguments: Any) -> None:
        with bound(task_name=name, **arguments):
            failpoint("job.begun")
            await work(**arguments)
            failpoint("job.worked")

    run.__name__ = name.replace(".", "_")
    return run
