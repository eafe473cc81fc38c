"""Family members: letting somebody look at one's account or pay it, taking that, ending it, and seeing what was done."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from msgspec import Meta

from api.calls import Answer, Call
from api.texts import Input, Label, Output, Page
from domain.billing.sharing import SharedWith
from models.share import Share


class ShareOffer(Input, frozen=True):
    """What the member may do, and the owner's own word for him."""

    label: Label
    may_pay: bool


class ShareInvitation(Output, frozen=True):
    """An invitation to hand on. `code` is shown this once; whoever logs in and types it has the share."""

    share_id: UUID
    code: str
    may_pay: bool
    label: str
    expires_at: datetime


class ShareAcceptance(Input, frozen=True):
    """The code as read aloud or as the card carries it."""

    code: Annotated[str, Meta(min_length=12, max_length=40)]


class ShareView(Output, frozen=True):
    """A share as its owner sees it. `member_phone_masked` null: nobody has taken it yet."""

    share_id: UUID
    status: Literal["offered", "active"]
    label: str
    may_pay: bool
    member_phone_masked: str | None
    created_at: datetime
    accepted_at: datetime | None
    expires_at: datetime | None


class ShareList(Output, frozen=True):
    """The open shares of one's binding to an account, oldest first."""

    shares: list[ShareView]


class TakenShare(Output, frozen=True):
    """A share one has taken: the account stands in one's own list from now on."""

    share_id: UUID
    may_pay: bool
    accepted_at: datetime


class UseView(Output, frozen=True):
    """Something that was done by a share or a mandate."""

    use_id: UUID
    at: datetime
    action: str
    account_id: UUID | None
    subject_id: UUID | None


class UseList(Output, frozen=True):
    """Newest first; `next_after` leads to the next page."""

    uses: list[UseView]
    next_after: UUID | None


async def offer(call: Call) -> Answer:
    body: ShareOffer = call.body
    made = await call.services.sharing.offer(call.caller, call.path["account_id"], body.label, body.may_pay)
    share = made.share
    return Answer(ShareInvitation(share.id, made.code, share.may_pay, share.label, share.code_expires_at), 201)


async def list_given(call: Call) -> Answer:
    given = await call.services.sharing.given(call.path["account_id"], call.caller.principal)
    return Answer(ShareList([_given(one) for one in given]))


async def accept(call: Call) -> Answer:
    body: ShareAcceptance = call.body
    share: Share = await call.services.sharing.accept(call.caller, body.code)
    assert share.accepted_at is not None
    return Answer(TakenShare(share.id, share.may_pay, share.accepted_at), 201)


async def end(call: Call) -> Answer:
    await call.services.sharing.end(call.path["share_id"], call.caller.principal)
    return Answer(None, 204)


async def list_uses(call: Call) -> Answer:
    query: Page = call.query
    rows = await call.services.sharing.uses(call.path["share_id"], call.caller.principal, query.after, query.limit)
    return Answer(use_list(rows, query.limit))


def use_list(rows: Sequence[dict[str, Any]], limit: int) -> UseList:
    """A page of uses."""
    uses = [UseView(row["id"], row["at"], row["action"], row["account_id"], row["subject_id"]) for row in rows]
    return UseList(uses, uses[-1].use_id if len(uses) == limit else None)


def _given(one: SharedWith) -> ShareView:
    share = one.share
    status = "active" if share.status == "active" else "offered"
    expires_at = share.code_expires_at if status == "offered" else None
    return ShareView(
        share.id, status, share.label, share.may_pay, one.member_phone_masked, share.created_at, share.accepted_at, expires_at
    )  # fmt: skip
