"""Which device signed a request: RFC 9421 as companies sign theirs, with the one key it was enrolled with; a nonce serves once."""

from typing import TypeVar
from urllib.parse import urlsplit

from api.calls import Call
from api.errors import RequestMalformed, SignatureWrong
from core import clock
from core.log import get_logger
from core.strict_json import JsonRefused, decode
from gateways.message_signatures import SignatureRefused, request_nonce, stated_keyid, verify_company_request
from models import device as devices
from models.device import Device

T = TypeVar("T")
log = get_logger(__name__)


async def signing_device(call: Call) -> Device:
    """The live device that signed this request.

    Raises:
        SignatureWrong: unknown, revoked, not as agreed, or a request that came before.
    """
    services = call.services
    authority = urlsplit(services.settings.public_url).netloc
    target = call.path_text + (f"?{call.query_text}" if call.query_text else "")
    try:
        keyid = stated_keyid(call.header_pairs)
        found = await services.devices.live(keyid)
        keys = {keyid: found[1]} if found else {}
        verify_company_request(call.method, authority, target, call.header_pairs, call.raw, keys, clock.now())
    except SignatureRefused as refused:
        log.warning("device.signature_refused", reason=refused.reason)
        raise SignatureWrong from refused
    assert found is not None, "verified with its key"
    device = found[0]
    if not await devices.use_nonce(device.id, request_nonce(call.header_pairs)):
        log.warning("device.nonce_seen_before", device_id=str(device.id))
        raise SignatureWrong
    return device


def read_body(call: Call, type_: type[T]) -> T:
    """Read the body only after the signature over it has been verified."""
    try:
        return decode(call.raw, type_)
    except JsonRefused as error:
        raise RequestMalformed(where="body", reason=error.where or error.reason) from None
