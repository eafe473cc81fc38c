"""What we keep of an opened order, and what the payer's client needs of it. Pure.

========  ==================================  ==============
method    the platform gives                  which lives
========  ==================================  ==============
jsapi     a prepay id                         two hours
native    the text of a code                  two hours
h5        the address of a page               five minutes
========  ==================================  ==============
"""

from datetime import datetime, timedelta
from urllib.parse import quote

import msgspec

from payments.providers.port import HandleStale, Method, OrderRequest
from payments.providers.wechat_pay.config import WeChatPayConfig
from payments.providers.wechat_pay.signing import client_params

PAGE_LIFE = timedelta(minutes=4, seconds=30)
"""The platform's five minutes, less the payer's way there."""


class _Page(msgspec.Struct, frozen=True):
    url: str
    until: datetime


def kept(order: OrderRequest, given: str, now: datetime) -> str:
    """The handle of what the platform has given. A page's address says where to come back to, and is kept with the end of its life."""
    if order.method is not Method.H5:
        return given
    back = f"&redirect_url={quote(order.return_url, safe='')}" if order.return_url else ""
    return msgspec.json.encode(_Page(given + back, now + PAGE_LIFE)).decode()


def shown(config: WeChatPayConfig, method: Method, handle: str, now: datetime) -> dict[str, str]:
    """Signed parameters, or ``{url}`` to open or to show as a code.

    Raises:
        HandleStale: a page's address that has served its time.
    """
    if method is Method.JSAPI:
        return client_params(config, handle, now)
    if method is Method.NATIVE:
        return {"url": handle}
    page = msgspec.json.decode(handle, type=_Page)
    if page.until <= now:
        raise HandleStale
    return {"url": page.url}
