"""Processing what came from outside: each source's deliveries, once, in the order in which they can be worked on."""

from datetime import timedelta
from uuid import UUID

from core import clock
from core.database import fetch, transaction
from core.errors import LianbanError
from core.failpoint import failpoint
from core.log import get_logger
from core.outbound import FailureKind
from domain.applications import pushes
from domain.billing.accounts import end_binding
from domain.billing.refresh import AccountRefused
from domain.services import Services
from domain.surveys.slots import Offer, SlotUnsuitable
from gateways.companies import BillsChanged, BindingRevoked, Posted, Processing, Refused, parse_event
from gateways.company_order_types import AnyReport, AppointmentAnswer, CrewSlots
from jobs import order_reports
from models.inbox import InboxItem
from models.lifecycle import Actor
from models.posting import Posting
from models.utility_account import Binding
from notifications import credits
from payments.providers.port import OrderTrades, RefundAnswer
from payments.refunding import RefundMismatch
from payments.settling import TradeMismatch
from wechat.codes import WeChatRefused
from wechat.push import Followed, Scanned, SubscribeChange, SubscribePopup, SubscribeSent, TemplateSent, read_event

log = get_logger(__name__)

WECHAT_PUSH = "wechat_push"
OFFICIAL_ACCOUNT = "official_account"
COMPANY = "company:"
CONSTRUCTION = pushes.SOURCE
RECEIPT_GRACE = timedelta(minutes=2)


class InboxSourceUnknown(LianbanError):
    """A delivery was stored under a source nobody processes."""

    code = "internal"


class ReceiptTooEarly(LianbanError):
    """A receipt for one of several messages whose sending is still being written down."""

    code = "receipt_too_early"


async def process(services: Services, inbox_id: UUID) -> None:
    """Process one delivery; run again after a crash it changes nothing twice."""
    item = await InboxItem.get(id=inbox_id)
    if item.processed_at is not None:
        return
    content = services.vault.open_bytes(item.content, "inbox.content", item.id)
    if item.source in services.providers:
        outcome = await _provider(services, item.source, content)
    elif item.source == WECHAT_PUSH:
        outcome = await _wechat_push(services, content)
    elif item.source == OFFICIAL_ACCOUNT:
        outcome = await _official_account(services, content)
    elif item.source == CONSTRUCTION:
        outcome = await services.pushes.take(content)
    elif item.source.startswith(COMPANY):
        outcome = await _company(services, item.source.removeprefix(COMPANY), content)
    else:
        raise InboxSourceUnknown(item.source)
    failpoint("inbox.applied")
    await fetch("update inbox set processed_at = $2, outcome = $3 where id = $1", item.id, clock.now(), outcome)
    failpoint("inbox.processed_committed")
    log.info("inbox.processed", source=item.source, kind=item.kind, outcome=outcome)


async def _provider(services: Services, provider: str, content: bytes) -> str:
    notice = services.providers.get(provider).notices.open_notice(content)
    try:
        if isinstance(notice.resource, OrderTrades):
            return await services.settling.apply(provider, notice.resource)
        if isinstance(notice.resource, RefundAnswer):
            return await services.refunding.apply(provider, notice.resource)
    except (TradeMismatch, RefundMismatch) as error:
        return error.code[:40]
    return "ignored"


async def _wechat_push(services: Services, content: bytes) -> str:
    event = read_event(services.push.appid, content)
    user = await credits.user_of_openid(services.vault, services.push.appid, event.openid)
    if user is None:
        return "unknown_user"
    if isinstance(event, SubscribePopup | SubscribeChange):
        for choice in event.choices:
            if choice.accepted and isinstance(event, SubscribePopup):
                await credits.grant(user.id, choice.template_id, f"{event.dedupe_key}:{choice.template_id}"[:120])
                failpoint("credit.granted_committed")
            elif not choice.accepted and isinstance(event, SubscribeChange):
                await credits.withdraw(user.id, choice.template_id)
        return "credits"
    if isinstance(event, SubscribeSent):
        outcomes = [
            await services.delivery.receipt(
                result.message_id, result.template_id, user.id, result.delivered, f"receipt_{result.error_code}"
            )
            for result in event.results
        ]
        if "ambiguous" in outcomes and clock.now() - event.created_at < RECEIPT_GRACE:
            # Several are just leaving, and the receipt has overtaken the commit that writes this one's number: try again shortly.
            raise ReceiptTooEarly
        return ",".join(outcomes)[:40]
    return "ignored"


async def _official_account(services: Services, content: bytes) -> str:
    """Who follows, and what became of template messages."""
    followers = services.followers
    if followers is None:
        return "no_account"
    event = read_event(followers.appid, content)
    if isinstance(event, TemplateSent):
        persons = await followers.persons(event.openid)
        outcome = await services.delivery.template_receipt(event.message_id, persons, event.failure)
        if outcome == "ambiguous" and clock.now() - event.created_at < RECEIPT_GRACE:
            raise ReceiptTooEarly
        return outcome
    if not isinstance(event, Followed | Scanned):
        return "ignored"
    subscribed = not isinstance(event, Followed) or event.subscribed
    await followers.changed(event.openid, subscribed, event.created_at)
    if not subscribed:
        return "left"
    try:
        return "follows" if await followers.learn(event.openid) else "left"
    except WeChatRefused as error:
        if error.kind is FailureKind.TEMPORARY:
            raise
        return f"errcode_{error.errcode}"


async def _company(services: Services, company: str, content: bytes) -> str:
    event = parse_event(content, company)
    data = event.data
    if isinstance(data, Posted | Refused | Processing):
        return await _posting_answered(services, company, data)
    if isinstance(data, BillsChanged):
        account = await services.accounts.known(services.companies.get(company), data.account_number)
        if account is None:
            return "unknown_account"
        try:
            await services.refresher.refresh(account, "view")
        except AccountRefused:
            return "refused"  # for good: asking again and again would change nothing
        return "refreshed"
    if isinstance(data, BindingRevoked):
        return await _binding_revoked(services, company, data)
    if isinstance(data, AnyReport):
        return await order_reports.take(services, company, data)
    if isinstance(data, CrewSlots):
        offers = [Offer(slot.slot_id, slot.area, slot.starts_at, slot.ends_at) for slot in data.slots]
        try:
            return f"{await services.surveys.slots(company, offers, data.withdrawn, Actor('company', company))}_new"
        except SlotUnsuitable as error:
            log.error("inbox.slots_unsuitable", company=company, why=error.data["why"])
            return error.code
    if isinstance(data, AppointmentAnswer):
        return await _appointment_answered(services, company, data)
    return "ignored"


async def _appointment_answered(services: Services, company: str, data: AppointmentAnswer) -> str:
    try:
        survey_id = UUID(data.survey_id)
    except ValueError:
        return "no_such_appointment"
    return await services.surveys.answer(company, survey_id, data.round, data.answer, Actor("company", company))


async def _posting_answered(services: Services, company: str, answer: Posted | Refused | Processing) -> str:
    try:
        posting_id = UUID(answer.posting_id)
    except ValueError:
        return "unknown_posting"
    # The posting must be this company's own: a company speaks for nobody else.
    if not await Posting.exists(id=posting_id, company=company):
        log.error("inbox.posting_of_another_company", company=company)
        return "unknown_posting"
    return await services.posting.apply(posting_id, answer)


async def _binding_revoked(services: Services, company: str, data: BindingRevoked) -> str:
    account = await services.accounts.known(services.companies.get(company), data.account_number)
    if account is None:
        return "unknown_account"
    async with transaction():
        binding = (
            await Binding.filter(reference=data.binding_ref, account_id=account.id).select_for_update().get_or_none()
        )
        if binding is None:
            return "unknown_binding"
        await end_binding(binding, "holder", Actor("company", company))
    return "revoked"
