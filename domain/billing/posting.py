"""Telling a company that bills are paid (销账): under one id for ever, all bills of a payment part or none.

After a time-out we ask; when the company says that nothing arrived we tell it again under the same id. A company that refuses gets
no money: the payer's is refunded by itself.
"""

from datetime import datetime, timedelta
from uuid import UUID

from cities.schema import City, PostingRule
from core import clock, ids
from core.database import fetch, transaction, violated_constraint
from core.failpoint import failpoint
from core.log import get_logger
from core.outbound import FailureKind, NotSent, OutboundError, OutcomeUnknown
from core.queue import enqueue
from domain.billing.accounts import Accounts
from domain.companies import Companies, CompanyNotJoined
from domain.companies.filed import FiledCompany, answer_due
from gateways import companies as gateway
from gateways.companies import CompanyGateway, CompanyRefusal, Posted, PostingAnswer, Processing, Refused
from models import audit
from models.bill import BILL, Bill
from models.lifecycle import SYSTEM, Actor, Event, StaleState, announce, born, move
from models.payment import Payment, PaymentPart, PaymentStatus
from models.posting import POSTING, Posting, PostingBill, PostingStatus
from models.utility_account import UtilityAccount
from payments import ledger

log = get_logger(__name__)

POST_TASK = "billing.post"

_QUOTED = """
select part.id as part_id, part.payee, part.amount_fen, q.account_id, q.company_quote_id
from payment_part part join quote q on q.id = part.quote_id where part.payment_id = $1 order by part.id
"""

_LINES = """
select l.part_id, l.amount_fen, b.id as bill_id, b.id is distinct from q.partial_bill_id as whole
from payment_line l join bill b on l.claim_key = 'bill:' || b.id join payment_part part on part.id = l.part_id
join quote q on q.id = part.quote_id
where l.payment_id = $1 order by b.id
"""


_DELAYED = """
select company, count(*) as count, min(created_at) as since from posting
where status not in ('posted', 'refused') and created_at < case when company = any($2::text[]) then $3::timestamptz else $1::timestamptz end
group by company order by company
"""


class BillPosting:
    """Opens postings for payments that have succeeded, and follows each to its end."""

    def __init__(self, companies: Companies, accounts: Accounts, city: City) -> None:
        self._companies = companies
        self._accounts = accounts
        self._city = city

    async def open(self, payment_id: UUID) -> None:
        """Open the posting of each part of a succeeded payment, once for ever; may be repeated.

        Not again after a refusal either: the money is on its way back then.
        """
        lines = await fetch(_LINES, payment_id)
        for part in await fetch(_QUOTED, payment_id):
            own = [line for line in lines if line["part_id"] == part["part_id"]]
            try:
                async with transaction():
                    payment = await Payment.filter(id=payment_id).select_for_update().get()
                    if payment.status != PaymentStatus.SUCCEEDED or await Posting.exists(part_id=part["part_id"]):
                        continue
                    posting = await Posting.create(
                        id=ids.new_id(),
                        status=PostingStatus.PENDING,
                        payment_id=payment_id,
                        part_id=part["part_id"],
                        company=part["payee"],
                        account_id=part["account_id"],
                        company_quote_id=part["company_quote_id"],
                        total_fen=part["amount_fen"],
                        created_at=clock.now(),
                    )
                    for line in own:
                        await PostingBill.create(
                            id=ids.new_id(),
                            posting_id=posting.id,
                            bill_id=line["bill_id"],
                            amount_fen=line["amount_fen"],
                            whole=line["whole"],
                        )
                    await born(POSTING, posting, SYSTEM)
                    await enqueue(POST_TASK, posting_id=posting.id, step=0)
            except Exception as error:
                if violated_constraint(error) != "posting_live_once_per_part":
                    raise
            failpoint("posting.opened_committed")

    async def post(self, posting_id: UUID, step: int) -> None:
        """One step of a posting: send it, or ask about it; plan the next step while it is open."""
        posting = await Posting.get(id=posting_id)
        if posting.status in POSTING.terminal:
            return
        try:
            await self._step(posting)
        except (NotSent, CompanyRefusal, CompanyNotJoined) as error:
            log.warning("posting.postponed", posting_id=str(posting_id), error_code=error.code)
        except OutcomeUnknown:
            await self._lost(posting)
            failpoint("posting.lost_committed")
        except StaleState:
            pass
        await posting.refresh_from_db()
        if posting.status not in POSTING.terminal:
            now, rule = clock.now(), self._rule()
            late_at = self._late_at(posting)
            if now >= late_at:
                await _announce_delay(posting_id)
            next_look = now + rule.retry_after[min(step, len(rule.retry_after) - 1)]
            if now < late_at:
                next_look = min(next_look, late_at)
            async with transaction():
                await enqueue(POST_TASK, at=next_look, posting_id=posting_id, step=step + 1)
            failpoint("posting.planned_committed")

    async def report_delayed(self) -> int:
        """Say once a day, as an error for each company, how many postings it has not ended in time; how many in all."""
        filed = {company.code: company.rules.gateway.files for company in self._companies}
        by_file = [code for code, files in filed.items() if files is not None]
        slowest = max((files.answered_within for files in filed.values() if files), default=timedelta())
        now = clock.now()
        rows = await fetch(_DELAYED, now - self._rule().delayed_after, by_file, now - timedelta(days=1) - slowest)
        for row in rows:
            oldest_s = int((clock.now() - row["since"]).total_seconds())
            log.error("postings.delayed", company=row["company"], count=row["count"], oldest_s=oldest_s)
        return sum(row["count"] for row in rows)

    async def apply(self, posting_id: UUID, answer: PostingAnswer | None) -> str:
        """Apply a company's verified word about a posting (None: it never arrived); what it did, or ``already``."""
        async with transaction():
            posting = await Posting.get(id=posting_id)
            await UtilityAccount.filter(id=posting.account_id).select_for_update(no_key=True).get()
            posting = await Posting.filter(id=posting_id).select_for_update().get()
            event = _event(answer)
            if not POSTING.allows(str(posting.status), event):
                return await _contradiction(posting) if event == "posted" and posting.status == "refused" else "already"
            actor = Actor("company", posting.company)
            if isinstance(answer, Posted):
                await move(POSTING, posting, event, actor, columns={"serial": answer.serial, "ended_at": clock.now()})
                await self._book(posting, answer, actor)
            elif isinstance(answer, Refused) and event == "refused":
                await move(
                    POSTING, posting, event, actor, columns={"refusal_code": answer.code, "ended_at": clock.now()}
                )
                await PostingBill.filter(posting_id=posting.id).update(live=False)
            else:
                await move(POSTING, posting, event, actor, reason=answer.code if isinstance(answer, Refused) else None)
            failpoint("posting.applied_before_commit")
        failpoint("posting.applied_committed")
        return event

    def _late_at(self, posting: Posting) -> datetime:
        """When it is a delay that its payer hears of: of a company that is told by file, once the answer to that file is overdue."""
        try:
            files = self._companies.get(posting.company).rules.gateway.files
        except CompanyNotJoined:
            files = None
        return answer_due(files, posting.created_at) if files else posting.created_at + self._rule().delayed_after

    def _rule(self) -> PostingRule:
        return self._city.payment_rules(clock.today()).posting

    async def _step(self, posting: Posting) -> None:
        company = self._companies.get(posting.company)
        if posting.status in (PostingStatus.SENDING, PostingStatus.UNKNOWN, PostingStatus.PROCESSING):
            found = await company.gateway.query_posting(str(posting.id))
            failpoint("posting.queried")
            await self.apply(posting.id, found)
            await posting.refresh_from_db()
        if posting.status != PostingStatus.PENDING:
            return
        if clock.now() - posting.created_at > self._rule().give_up_after:
            if not await self._is_there_after_all(posting, company.gateway):
                await self._give_up(posting)
            return
        async with transaction():
            await move(POSTING, posting, "send", SYSTEM)
        failpoint("posting.sending_committed")
        try:
            answer = await company.gateway.post_payment(await self._content(posting))
        except NotSent:
            await self.apply(posting.id, None)
            raise
        failpoint("posting.answered")
        await self.apply(posting.id, answer)

    async def _is_there_after_all(self, posting: Posting, asked: CompanyGateway | FiledCompany) -> bool:
        """A last question before the money goes back: nobody refunds what the company has recorded, or is about to."""
        try:
            found = await asked.query_posting(str(posting.id))
        except (OutboundError, CompanyRefusal):
            return False
        await self.apply(posting.id, found)
        return isinstance(found, Posted | Processing)

    async def _content(self, posting: Posting) -> gateway.Posting:
        """What the company is told; the same for the same posting, always."""
        account = await UtilityAccount.get(id=posting.account_id)
        payment = await Payment.get(id=posting.payment_id)
        part = await PaymentPart.get(id=posting.part_id)
        rows = await PostingBill.filter(posting_id=posting.id).prefetch_related("bill").order_by("bill_id")
        assert payment.paid_at is not None
        assert part.provider_transaction is not None
        return gateway.Posting(
            posting_id=str(posting.id),
            account_number=self._accounts.number(account),
            quote_id=posting.company_quote_id,
            total_fen=posting.total_fen,
            bills=tuple(gateway.PostingBill(row.bill.bill_no, row.amount_fen) for row in rows),
            paid_at=payment.paid_at,
            provider=part.provider,
            merchant=part.merchant,
            provider_transaction=part.provider_transaction,
            purpose="bills" if rows else "top_up",
        )

    async def _book(self, posting: Posting, answer: Posted, actor: Actor) -> None:
        part = await PaymentPart.get(id=posting.part_id)
        await ledger.book(
            "posted",
            "posting",
            posting.id,
            provider=part.provider,
            merchant=part.merchant,
            amount_fen=posting.total_fen,
        )
        rows = {row.bill_id: row for row in await PostingBill.filter(posting_id=posting.id)}
        if not rows:
            # Money in advance: how much there is now the company says when it is asked next.
            await UtilityAccount.filter(id=posting.account_id).update(bills_checked_at=None)
        for bill in await Bill.filter(id__in=list(rows)).order_by("id").select_for_update():
            if not rows[bill.id].whole:
                await _keep_the_rest(posting, rows[bill.id])
            elif BILL.allows(str(bill.status), "post"):
                await move(BILL, bill, "post", actor, columns={"paid_at": answer.posted_at})
            else:
                log.error("posting.bill_in_odd_state", bill_id=str(bill.id), status=str(bill.status))

    async def _lost(self, posting: Posting) -> None:
        try:
            async with transaction():
                posting = await Posting.filter(id=posting.id).select_for_update().get()
                if posting.status == PostingStatus.SENDING:
                    await move(POSTING, posting, "lost", SYSTEM)
        except StaleState:
            pass

    async def _give_up(self, posting: Posting) -> None:
        async with transaction():
            await move(
                POSTING,
                posting,
                "give_up",
                SYSTEM,
                reason="the company could not be told in time",
                columns={"ended_at": clock.now()},
            )
            await PostingBill.filter(posting_id=posting.id).update(live=False)
        failpoint("posting.given_up_committed")


_FREE_LINE = "update claim set freed_at = $3 where payment_id = $1 and claim_key = $2 and freed_at is null"


async def _keep_the_rest(posting: Posting, row: PostingBill) -> None:
    """A part of the bill is recorded: its rest may be paid. How much that is the company says when it is asked next."""
    await PostingBill.filter(id=row.id).update(live=False)
    await fetch(_FREE_LINE, posting.payment_id, f"bill:{row.bill_id}", clock.now())
    await UtilityAccount.filter(id=posting.account_id).update(bills_checked_at=None)


async def _announce_delay(posting_id: UUID) -> None:
    """The company takes longer than the city's patience: announced once, so that the payer is told once."""
    async with transaction():
        posting = await Posting.filter(id=posting_id).select_for_update().get()
        if posting.status in POSTING.terminal or await Event.exists(kind="posting.delayed", subject_id=posting_id):
            return
        # No step of the posting: the journal knows the delay as a thing of its own.
        await announce("posting.delayed", "posting_delay", posting_id, SYSTEM)
    failpoint("posting.delay_committed")
    log.error("posting.delayed", posting_id=str(posting_id), company=posting.company)


async def _contradiction(posting: Posting) -> str:
    """The company has recorded what it had refused, and the money is going back: people must agree with it about this one."""
    await audit.record(
        Actor("company", posting.company), "posting.posted_after_refusal", "posting", posting.id, posting.refusal_code
    )
    log.error("posting.posted_after_refusal", posting_id=str(posting.id), company=posting.company)
    return "contradicted"


def _event(answer: PostingAnswer | None) -> str:
    if answer is None:
        return "absent"
    if isinstance(answer, Posted):
        return "posted"
    if isinstance(answer, Refused):
        return "refused" if answer.kind is FailureKind.PERMANENT else "postponed"
    return "processing"
