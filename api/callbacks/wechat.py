"""WeChat's message push for the mini-program, safe mode only."""

from urllib.parse import parse_qsl

from api.calls import Answer, Call
from api.texts import Failure
from core import clock
from core.failpoint import failpoint
from core.log import get_logger
from models import inbox
from wechat.push import PushRefused

log = get_logger(__name__)


async def verify_address(call: Call) -> Answer:
    """The console checks that this address is ours: answer its echo."""
    try:
        echo = call.services.push.answer_url_check(_query(call), clock.now())
    except PushRefused as refused:
        return _refuse(refused)
    return Answer(echo.encode(), 200, "text/plain; charset=utf-8")


async def receive(call: Call) -> Answer:
    """Verify, decrypt, store, answer ``success``."""
    services = call.services
    try:
        event, plaintext = services.push.opened(_query(call), call.raw, clock.now())
    except PushRefused as refused:
        return _refuse(refused)
    await inbox.store(services.vault, "wechat_push", event.dedupe_key, type(event).__name__, plaintext)
    failpoint("push.stored")
    return Answer(b"success", 200, "text/plain; charset=utf-8")


def _query(call: Call) -> dict[str, str]:
    pairs = parse_qsl(call.query_text, keep_blank_values=True, max_num_fields=20)
    return {} if len({name for name, _ in pairs}) != len(pairs) else dict(pairs)


def _refuse(refused: PushRefused) -> Answer:
    log.warning("wechat.push_refused", reason=refused.reason)
    return Answer(Failure("FAIL", "消息未通过验证"), 401)
