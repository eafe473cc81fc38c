"""Who signed a company's request: RFC 9421 with one of the company's live keys."""

from urllib.parse import urlsplit

from api.calls import Call
from api.errors import SignatureWrong
from core import clock
from core.failpoint import failpoint
from core.log import get_logger
from domain.companies import JoinedCompany
from domain.services import Services
from gateways.companies import SignatureRefused, request_nonce, sign_answer, verify_company_request
from models import nonce

log = get_logger(__name__)

_SIGNED_STATUSES = (200, 404, 409, 422)


def verified_company(call: Call, company: str | None = None) -> str:
    """The code of the company that signed this request; with `company` only its own keys count.

    Raises:
        SignatureWrong: nobody we know signed it, or not as agreed.
    """
    return _verified(call, company)[0]


async def joined_company(call: Call) -> JoinedCompany:
    """The joined company that signed this request, which has no id of its own: its nonce serves once.

    Raises:
        SignatureWrong: also for a request that came before.
    """
    return (await signer(call))[0]


async def signer(call: Call) -> tuple[JoinedCompany, str]:
    """The same with the id of the key that signed. Raises SignatureWrong."""
    code, keyid = _verified(call)
    company = call.services.companies.get(code)
    if not await nonce.use(company.code, request_nonce(call.header_pairs)):
        log.warning("company.nonce_seen_before", company=company.code)
        raise SignatureWrong
    failpoint("company_nonce.committed")
    return company, keyid


def _verified(call: Call, company: str | None = None) -> tuple[str, str]:
    services = call.services
    authority = urlsplit(services.settings.public_url).netloc
    target = call.path_text + (f"?{call.query_text}" if call.query_text else "")
    candidates = services.company_keys if company is None else {company: services.company_keys.get(company, {})}
    reason = "unknown_key"
    for code, keys in candidates.items():
        if not keys:
            continue
        try:
            return code, verify_company_request(
                call.method, authority, target, call.header_pairs, call.raw, keys, clock.now()
            )
        except SignatureRefused as refused:
            reason = refused.reason if reason == "unknown_key" else reason
    log.warning("company.signature_refused", company=company, reason=reason)
    raise SignatureWrong


def answer_signature(
    services: Services, headers: list[tuple[str, str]], status: int, content_type: str, body: bytes
) -> dict[str, str]:
    """The headers that sign an answer to a company, where the protocol asks for it (§1)."""
    if status not in _SIGNED_STATUSES or not body:
        return {}
    try:
        return sign_answer(status, content_type, body, headers, services.gateway_key, clock.now())
    except SignatureRefused:
        return {}
