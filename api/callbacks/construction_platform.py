"""Projects that the construction-approval platform pushes (docs/platform-push.md), verified with its own keys."""

from datetime import datetime
from typing import Any, Literal
from urllib.parse import urlsplit

from api.calls import Answer, Call
from api.errors import SignatureWrong
from api.texts import Output
from core import clock
from core.failpoint import failpoint
from core.log import get_logger
from domain.applications.pushes import SOURCE
from gateways.companies import SignatureRefused, verify_company_request
from gateways.construction_platform import push_number
from models import inbox

log = get_logger(__name__)


class ProjectPushMessage(Output, frozen=True):
    """A push of docs/platform-push.md. What we cannot understand is taken too, and read by people."""

    push_id: str
    schema: str
    pushed_at: datetime
    form_version: int
    answers: dict[str, Any]
    mains: list[str]
    authorization: dict[str, Any]


class PushReceipt(Output, frozen=True):
    """We have it, whole and for good; whether it can be worked is reported later. `again`: it had come before."""

    push_id: str
    receipt: Literal["stored", "again"]
    received_at: datetime


async def receive(call: Call) -> Answer:
    """Verify, store, acknowledge. The same push again is acknowledged and changes nothing."""
    services = call.services
    target = call.path_text + (f"?{call.query_text}" if call.query_text else "")
    authority = urlsplit(services.settings.public_url).netloc
    try:
        verify_company_request(
            call.method, authority, target, call.header_pairs, call.raw, services.platform_keys, clock.now()
        )
    except SignatureRefused as refused:
        log.warning("construction_platform.signature_refused", reason=refused.reason)
        raise SignatureWrong from refused
    number = push_number(call.raw)
    if await services.pushes.is_known(call.raw):
        return Answer(PushReceipt(number, "again", clock.now()))
    stored = await inbox.store(services.vault, SOURCE, number, "project_push", call.raw)
    if stored is None:  # another delivery of this number was faster by a moment
        await services.pushes.is_known(call.raw)
    failpoint("project_push.stored")
    return Answer(PushReceipt(number, "again" if stored is None else "stored", clock.now()))
