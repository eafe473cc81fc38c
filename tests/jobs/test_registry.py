"""Every job that is enqueued is known, every event has its listeners, every cron is read as it is meant."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import procrastinate
import pytest
from procrastinate.jobs import Job
from procrastinate.testing import InMemoryConnector

from core.database import fetch
from jobs import tasks, timetable
from jobs.events import LISTENERS, dispatch
from models.lifecycle import LIFECYCLES, SYSTEM, announce
from tests.harness.spine import Spine

ROOT = Path(__file__).parents[2]
ROOMS = ("api", "domain", "jobs", "lianban", "models", "notifications", "payments")


def _sources() -> Iterator[tuple[Path, ast.Module]]:
    for room in ROOMS:
        for path in sorted((ROOT / room).rglob("*.py")):
            if "migrations" not in path.parts:
                yield path, ast.parse(path.read_text())


def _called(tree: ast.Module, *names: str) -> Iterator[ast.Call]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", None)
            if name in names:
                yield node


def _constants() -> dict[str, str]:
    """Every module constant ``X_TASK = "…"`` of the source."""
    found: dict[str, str] = {}
    for path, tree in _sources():
        for node in tree.body:
            if (
                isinstance(node, ast.Assign)
                and isinstance(node.targets[0], ast.Name)
                and isinstance(node.value, ast.Constant)
            ):
                name = node.targets[0].id
                if name.endswith("_TASK"):
                    assert name not in found or found[name] == node.value.value, f"{name} in {path}"
                    found[name] = str(node.value.value)
    return found


def test_every_task_that_the_source_names_is_registered(spine: Spine) -> None:
    registered = set(tasks.tasks(spine.services))
    constants = _constants()
    assert set(constants.values()) <= registered
    for path, tree in _sources():
        for call in _called(tree, "enqueue"):
            named = call.args[0]
            if isinstance(named, ast.Constant):
                assert named.value in registered, f"{path}:{call.lineno}"
            elif isinstance(named, ast.Name) and named.id.endswith("_TASK"):
                assert constants[named.id] in registered, f"{path}:{call.lineno}"
            else:
                assert path.parts[-2:] in (("jobs", "events.py"), ("jobs", "leaps.py"), ("core", "queue.py")), (
                    f"{path}:{call.lineno} names no task"
                )
    assert {name for listeners in LISTENERS.values() for name in listeners} <= registered


def test_every_event_that_anybody_announces_stands_in_the_table_of_listeners() -> None:
    announced = {edge.announces for lifecycle in LIFECYCLES.values() for edge in lifecycle.edges if edge.announces}
    for path, tree in _sources():
        for call in _called(tree, "announce"):
            kind = call.args[0]
            assert isinstance(kind, ast.Constant), f"{path}:{call.lineno} announces what nobody can look up"
            announced.add(str(kind.value))
        for call in (*_called(tree, "born"), *_called(tree, "born_all")):
            for keyword in call.keywords:
                if keyword.arg == "announces" and isinstance(keyword.value, ast.Constant):
                    announced.add(str(keyword.value.value))
    assert announced == set(LISTENERS)


def test_no_two_events_share_the_name_of_a_listener() -> None:
    names = [name for listeners in LISTENERS.values() for name in listeners]
    assert len(names) == len(set(names))


def test_every_cron_has_six_fields_with_the_seconds_last(spine: Spine) -> None:
    app = procrastinate.App(connector=InMemoryConnector())
    timetable.register(app, spine.services)
    periodic = app.periodic_registry.periodic_tasks
    assert len(periodic) >= 6
    for (name, _), task in periodic.items():
        fields = task.cron.split()
        assert len(fields) == 6, f"{name}: {task.cron}"
        assert re.fullmatch(r"[0-9]+|\*/[0-9]+", fields[5]), f"{name}: every second of {task.cron}"
        assert task.task.queueing_lock == name, "a slow run is not queued behind itself"


async def test_an_event_nobody_has_heard_of_is_loud(spine: Spine) -> None:
    person = await spine.citizen()
    await announce("nobody.listens", "person", person.id, SYSTEM)
    await spine.jobs.run()
    ((task, error),) = spine.jobs.failures
    assert (task, type(error)) == ("events.dispatch", KeyError)
    spine.jobs.failures.clear()


async def test_an_event_is_dispatched_once(spine: Spine) -> None:
    person = await spine.citizen()
    binding = await spine.bind(person, await spine.account(1))
    (event,) = await fetch("select id from event where subject_id = $1", binding.id)
    for _ in range(3):
        await dispatch(event["id"])
    assert await spine.jobs.waiting("telling.holder_of_binding") == 1
    await spine.jobs.run()


@pytest.mark.parametrize("attempts", [0, 5, 150])
def test_a_job_that_fails_is_tried_again_later_and_later(attempts: int) -> None:
    decision = _decide(attempts, ValueError())
    assert decision is not None


def test_a_job_that_has_failed_for_days_is_given_up_unless_the_database_was_away() -> None:
    assert _decide(200, ValueError()) is None
    assert _decide(200, ConnectionRefusedError()) is not None


def _decide(attempts: int, error: Exception) -> procrastinate.RetryDecision | None:
    job = Job(queue="default", lock=None, queueing_lock=None, task_name="t", attempts=attempts)
    return tasks.Patience().get_retry_decision(exception=error, job=job)
