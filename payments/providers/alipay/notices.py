"""Notices of Alipay: a signed form, verified before a word of it is believed, and never a reason to call anybody.

The platform repeats a notice for 25 hours until it is answered ``success``, under the same `notify_id`. Its documents name no shorter life,
so one is fresh for that time; the inbox takes each id once, and applying the same fact again changes nothing.
"""

import re
from datetime import datetime, timedelta
from urllib.parse import parse_qsl

from core.log import get_logger
from core.outbound import Headers
from payments.providers.alipay.answers import StateUnknown, fen, moment, noticed
from payments.providers.alipay.config import AlipayConfig
from payments.providers.alipay.signing import SignatureWrong, verify_form
from payments.providers.port import Notice, NoticeRefused, OrderTrades, RefundAnswer, RefundState

log = get_logger(__name__)

MAX_BYTES = 64 * 1024
MOST_FIELDS = 100
LONGEST_LIFE = timedelta(hours=26)
"""The platform's 25 hours and some delay."""
CLOCK_SKEW = timedelta(seconds=300)
TRADE_CHANGED = "trade_status_sync"
_ID = re.compile(r"[0-9A-Za-z_-]{1,128}")


class AlipayNotices:
    """Reads the notices of one application."""

    def __init__(self, config: AlipayConfig) -> None:
        self._config = config

    def verify_notice(self, headers: Headers, body: bytes, now: datetime) -> Notice:
        """Verify the signature over the form's values, then its application and age, then read it. Headers prove nothing here.

        Raises:
            NoticeRefused: too large, no form, a field twice, another charset, unsigned or signed by another, another application's, stale.
        """
        if len(body) > MAX_BYTES:
            raise NoticeRefused("too_large")
        form = _form(body)
        try:
            verify_form(self._config.keys, form, now)
        except SignatureWrong as wrong:
            raise NoticeRefused(wrong.reason) from None
        notice = self._read(form)
        if not -CLOCK_SKEW <= now - notice.created_at <= LONGEST_LIFE:
            raise NoticeRefused("stale")
        return notice

    def open_notice(self, body: bytes) -> Notice:
        """Read a notice verified earlier, from the inbox.

        Raises:
            NoticeRefused: no form, or not about this application.
        """
        return self._read(_form(body))

    def _read(self, form: dict[str, str]) -> Notice:
        if form.get("app_id") != self._config.app_id:
            raise NoticeRefused("app")
        try:
            notify_id, sent_at = form["notify_id"], moment(form["notify_time"])
            assert sent_at is not None
            if not _ID.fullmatch(notify_id):
                raise NoticeRefused("wrong_shape")
            if form["notify_type"] != TRADE_CHANGED:
                log.error("alipay.event_unknown", event_name=form["notify_type"][:40])
                return Notice(notify_id, form["notify_type"][:60], sent_at, None)
            return Notice(notify_id, form["trade_status"][:60], sent_at, _resource(form))
        except StateUnknown as error:
            log.error("alipay.state_unknown", state=str(error))
            raise NoticeRefused("state_unknown") from None
        except (KeyError, ValueError):
            raise NoticeRefused("wrong_shape") from None


def _resource(form: dict[str, str]) -> OrderTrades | RefundAnswer:
    """A notice about money that has gone back names our refund and all that has gone back of the trade."""
    if form.get("out_biz_no") and "refund_fee" in form:
        return RefundAnswer(
            state=RefundState.SUCCESS,
            refund_no=form["out_biz_no"],
            order_no=form["out_trade_no"],
            refund_id=form["out_biz_no"],
            refund_fen=fen(form["refund_fee"]),
            total_fen=fen(form["total_amount"]),
            merchant=form["seller_id"],
            transaction_id=form["trade_no"],
            succeeded_at=moment(form.get("gmt_refund")),
        )
    trade = noticed(form)
    return OrderTrades(trade.order_no, (trade,))


def _form(body: bytes) -> dict[str, str]:
    """The fields of a form, each once, decoded once.

    Raises:
        NoticeRefused: not such a form, or in another charset than the one we ask for.
    """
    try:
        pairs = parse_qsl(
            body.decode("ascii"),
            keep_blank_values=True,
            strict_parsing=True,
            encoding="utf-8",
            errors="strict",
            max_num_fields=MOST_FIELDS,
        )
    except ValueError:
        raise NoticeRefused("not_a_form") from None
    form = dict(pairs)
    if len(form) != len(pairs):
        raise NoticeRefused("field_twice")
    if form.get("charset", "utf-8").lower() != "utf-8":
        raise NoticeRefused("charset")
    if any("\0" in value for pair in pairs for value in pair):
        raise NoticeRefused("bad_text")
    return form
