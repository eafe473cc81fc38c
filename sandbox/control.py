"""The control endpoints that belong to no single counterpart: health, reset, faults, calls."""

import os
from typing import Any

from sanic import Request, Sanic

from sandbox.context import Context, ControlError
from sandbox.faults import FaultRefused
from sandbox.replies import Reply, empty_reply, json_reply


def mount(app: Sanic, context: Context) -> None:
    """Add the shared ``/control`` routes."""
    served = False

    def begin() -> None:
        nonlocal served
        served = True

    context.on_start(begin)

    @app.get("/control/health", name="control_health")
    async def health(_: Request) -> Reply:
        return json_reply({"status": "ok", "pid": os.getpid()}) if served else json_reply({"status": "starting"}, 503)

    @app.post("/control/reset", name="control_reset")
    async def reset(_: Request) -> Reply:
        await context.reset()
        return empty_reply()

    @app.post("/control/faults", name="control_faults_add")
    async def add(request: Request) -> Reply:
        return json_reply({"id": _add(context, body_of(request))}, 201)

    @app.get("/control/faults", name="control_faults_list")
    async def planned(_: Request) -> Reply:
        return json_reply({"faults": context.faults.planned()})

    @app.delete("/control/faults", name="control_faults_clear")
    async def clear(request: Request) -> Reply:
        context.faults.clear(request.args.get("counterpart"))
        return empty_reply()

    @app.get("/control/calls", name="control_calls")
    async def calls(request: Request) -> Reply:
        return json_reply({"calls": context.faults.calls(request.args.get("counterpart"))})


def body_of(request: Request) -> dict[str, Any]:
    """The JSON object of a control call; an empty body is ``{}``. Raises ControlError."""
    if not request.body:
        return {}
    value = request.json
    if not isinstance(value, dict):
        raise ControlError("the body must be a JSON object")
    return value


def _add(context: Context, body: dict[str, Any]) -> int:
    missing = {"counterpart", "operation", "fault"} - body.keys()
    unknown = body.keys() - {"counterpart", "operation", "fault", "times", "latency_s", "status", "after"}
    if missing or unknown:
        raise ControlError(f"missing {sorted(missing)}, unknown {sorted(unknown)}")
    try:
        return context.faults.add(
            str(body["counterpart"]),
            str(body["operation"]),
            str(body["fault"]),
            times=None if body.get("times") is None else int(body["times"]),
            latency_s=float(body.get("latency_s") or 0),
            status=int(body.get("status") or 500),
            after=bool(body.get("after", False)),
        )
    except (FaultRefused, TypeError, ValueError) as error:
        raise ControlError(str(error)) from error
