"""Notices of WeChat Pay: payments and refunds. 204 once the notice lies in the inbox; anything not provably theirs is 401."""

from api.calls import Answer, Call
from api.texts import Failure
from core import clock
from core.failpoint import failpoint
from core.log import get_logger
from models import inbox
from payments.providers.port import NoticeRefused
from payments.providers.wechat_pay.client import NAME

log = get_logger(__name__)


async def receive(call: Call) -> Answer:
    """Verify, store, acknowledge. No session, no redirect; the work is a job's."""
    services = call.services
    try:
        notice = services.providers.get(NAME).notices.verify_notice(call.header_pairs, call.raw, clock.now())
    except NoticeRefused as refused:
        log.warning("wechat_pay.notice_refused", reason=refused.reason)
        return Answer(Failure("FAIL", "通知未通过验证"), 401)
    failpoint("notice.verified")
    await inbox.store(services.vault, NAME, notice.id, notice.event_type, call.raw)
    failpoint("notice.stored")
    return Answer(None, 204)
