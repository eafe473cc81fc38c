"""Notices of Alipay: ``success`` once the notice lies in the inbox, as plain text; anything not provably theirs is 401."""

from api.calls import Answer, Call
from api.texts import Failure
from core import clock
from core.failpoint import failpoint
from core.log import get_logger
from models import inbox
from payments.providers.alipay.client import NAME
from payments.providers.port import NoticeRefused

log = get_logger(__name__)

REFUSED = Failure("FAIL", "通知未通过验证")
MOST_KEY = 120


async def receive(call: Call) -> Answer:
    """Verify, store, acknowledge. No session, no redirect; the work is a job's. Where Alipay is not configured, nobody is believed."""
    services = call.services
    if NAME not in services.providers:
        return Answer(REFUSED, 401)
    try:
        notice = services.providers.get(NAME).notices.verify_notice(call.header_pairs, call.raw, clock.now())
    except NoticeRefused as refused:
        log.warning("alipay.notice_refused", reason=refused.reason)
        return Answer(REFUSED, 401)
    failpoint("alipay_notice.verified")
    await inbox.store(services.vault, NAME, notice.id[:MOST_KEY], notice.event_type, call.raw)
    failpoint("alipay_notice.stored")
    return Answer(b"success", 200, "text/plain; charset=utf-8")
