"""WeChat's message push for the mini-program and for the official account, safe mode only."""

from api.calls import Answer, Call
from api.texts import Failure
from core import clock
from core.failpoint import failpoint
from core.log import get_logger
from models import inbox
from wechat.push import Followed, PushEvent, PushReceiver, PushRefused, Scanned

log = get_logger(__name__)


async def verify_address(call: Call) -> Answer:
    """The console checks that this address is ours: answer its echo."""
    return _echo(call, call.services.push)


async def receive(call: Call) -> Answer:
    """Verify, decrypt, store, answer ``success``."""
    taken = await _store(call, call.services.push, "wechat_push")
    return taken if isinstance(taken, Answer) else _SUCCESS


async def verify_official_address(call: Call) -> Answer:
    """The same for the official account."""
    account = call.services.official_push
    return _refuse(PushRefused("no_account")) if account is None else _echo(call, account)


async def receive_official(call: Call) -> Answer:
    """The same for the official account; who came by a code of ours gets the way to its bill as the answer."""
    account = call.services.official_push
    if account is None:
        return _refuse(PushRefused("no_account"))
    taken = await _store(call, account, "official_account")
    if isinstance(taken, Answer):
        return taken
    scene = taken.scene if isinstance(taken, Followed | Scanned) else None
    text = call.services.codes.reply_to(scene) if scene else None
    if text is None:
        return _SUCCESS
    return Answer(account.sealed_reply(taken, text, clock.now()), 200, "text/xml; charset=utf-8")


_SUCCESS = Answer(b"success", 200, "text/plain; charset=utf-8")


def _echo(call: Call, receiver: PushReceiver) -> Answer:
    try:
        echo = receiver.answer_url_check(call.loose_query(), clock.now())
    except PushRefused as refused:
        return _refuse(refused)
    return Answer(echo.encode(), 200, "text/plain; charset=utf-8")


async def _store(call: Call, receiver: PushReceiver, source: str) -> PushEvent | Answer:
    """The event, once it lies in the inbox; or the refusal."""
    try:
        event, plaintext = receiver.opened(call.loose_query(), call.raw, clock.now())
    except PushRefused as refused:
        return _refuse(refused)
    await inbox.store(call.services.vault, source, event.dedupe_key, type(event).__name__, plaintext)
    failpoint("push.stored")
    return event


def _refuse(refused: PushRefused) -> Answer:
    log.warning("wechat.push_refused", reason=refused.reason)
    return Answer(Failure("FAIL", "消息未通过验证"), 401)
