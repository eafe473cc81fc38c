"""Family members: the owner of a binding lets somebody look at his account, or pay it too, by a code that serves once.

The owner hands the code on himself (read aloud, or as a card on the phone) and the other takes it in his own login: nobody types
another's name, number or phone. What hangs on a binding ends with it, in the commit that ends the binding.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from cities.schema import City, FamilyRule
from core import clock, ids
from core.crypto import Vault
from core.database import fetch, transaction
from core.errors import LianbanError, NotFound
from core.failpoint import failpoint
from core.redis import Limiter
from domain.billing.accounts import end_shares, tidy
from domain.identity.tokens import Caller
from models.access import Principal
from models.lifecycle import SYSTEM, Actor, born, move
from models.share import ACCOUNT_SHARE, Share, ShareStatus
from models.utility_account import Binding

_OPEN = (ShareStatus.OFFERED, ShareStatus.ACTIVE)
_MOST_LISTED = 100


class InvitationRefused(LianbanError):
    """No such code, used, withdrawn, too old, or one's own: one answer for all."""

    code = "invitation_refused"


class AlreadyMember(LianbanError):
    """One may see this account already, by the same owner or by a binding of one's own; nothing has changed."""

    code = "already_member"


class TooManyMembers(LianbanError):
    """As many members and open invitations as one binding may have. data: ``limit``."""

    code = "too_many_members"


@dataclass(frozen=True, slots=True)
class Invitation:
    """A share just offered; the code is shown once and cannot be shown again."""

    share: Share
    code: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class SharedWith:
    """A share as its owner sees it. `member_phone_masked` None: not accepted yet, or no phone proved."""

    share: Share
    member_phone_masked: str | None


class Sharing:
    """Offers, takes and ends shares, and shows what was done by them."""

    def __init__(self, city: City, vault: Vault, limiter: Limiter) -> None:
        self._city = city
        self._vault = vault
        self._limiter = limiter

    async def offer(self, caller: Caller, account_id: UUID, label: str, may_pay: bool) -> Invitation:
        """Offer a share of one's own binding; `label` is the owner's word for the one he means.

        Raises:
            NotFound: the account is not bound to him. TooManyMembers.
        """
        rule, now, code = self._rule(), clock.now(), ids.new_code()
        async with transaction():
            binding = await _locked_binding(account_id, caller.principal)
            open_now = await Share.filter(binding_id=binding.id, status__in=_OPEN).all()
            if sum(share.status == ShareStatus.ACTIVE or share.code_expires_at > now for share in open_now) >= (
                rule.most_members
            ):
                raise TooManyMembers(limit=rule.most_members)
            share = await Share.create(
                id=ids.new_id(),
                status=ShareStatus.OFFERED,
                binding_id=binding.id,
                may_pay=may_pay,
                label=label,
                code_index=self._index(code),
                actor_user_id=caller.user_id,
                created_at=now,
                code_expires_at=now + rule.invitation_life,
            )
            await born(ACCOUNT_SHARE, share, Actor("person", str(caller.person_id)))
        failpoint("share.offered_committed")
        return Invitation(share, code)

    async def accept(self, caller: Caller, code: str) -> Share:
        """Take a share by its code; the same member taking it again gets the same share.

        Raises:
            RateLimited, LimiterAway, InvitationRefused, AlreadyMember.
        """
        rule = self._rule()
        await self._limiter.take(f"share:person:{caller.person_id}", rule.tries_per_person, rule.window)
        known = await Share.get_or_none(code_index=self._index(code))
        if known is None:
            raise InvitationRefused
        async with transaction():
            binding = await Binding.filter(id=known.binding_id).select_for_update().get()
            share = await Share.filter(id=known.id).select_for_update().get()
            if share.status == ShareStatus.ACTIVE and share.member_id == caller.person_id:
                return share
            if (
                share.status != ShareStatus.OFFERED
                or share.code_expires_at <= clock.now()
                or binding.revoked_at is not None
                or binding.person_id == caller.person_id
            ):
                raise InvitationRefused
            if await self._sees_already(binding, caller.person_id):
                raise AlreadyMember
            columns = {"member_id": caller.person_id, "accepted_at": clock.now()}
            await move(ACCOUNT_SHARE, share, "accept", Actor("person", str(caller.person_id)), columns=columns)
        failpoint("share.accepted_committed")
        return share

    async def end(self, share_id: UUID, principal: Principal) -> None:
        """End a share of one's own binding or one that one has; ending it again changes nothing.

        Raises:
            NotFound: neither.
        """
        async with transaction():
            share, binding = await _locked_share(share_id)
            if share is None or binding is None:
                raise NotFound("share")
            owns = binding.belongs_to(principal)
            if not owns and share.member_id != principal.person_id:
                raise NotFound("share")
            await end_shares([share], "owner" if owns else "member", Actor("person", str(principal.person_id)))
        failpoint("share.ended_committed")

    async def given(self, account_id: UUID, principal: Principal) -> list[SharedWith]:
        """The open shares of one's own binding to this account, oldest first.

        Raises:
            NotFound: the account is not bound to him.
        """
        binding = await Binding.live(account_id, principal)
        if binding is None:
            raise NotFound("utility_account")
        shares = (
            await Share.filter(binding_id=binding.id, status__in=_OPEN)
            .prefetch_related("member")
            .order_by("created_at")
            .limit(_MOST_LISTED)
        )
        now = clock.now()
        return [
            SharedWith(share, self._phone(share.member))
            for share in shares
            if share.status == ShareStatus.ACTIVE or share.code_expires_at > now
        ]

    async def uses(
        self, share_id: UUID, principal: Principal, after: UUID | None, limit: int
    ) -> Sequence[dict[str, Any]]:
        """What was done by a share, newest first: for the owner of its binding, also when either has ended, and for the member.

        Raises:
            NotFound: neither.
        """
        rows = await fetch(_USES, share_id, *principal, after, limit)
        if not rows:
            raise NotFound("share")
        return [dict(row) for row in rows if row["id"] is not None]

    async def _sees_already(self, binding: Binding, person_id: UUID) -> bool:
        if await Binding.live(binding.account_id, Principal(person_id)):
            return True
        return await Share.exists(binding_id=binding.id, member_id=person_id, status=ShareStatus.ACTIVE)

    def _rule(self) -> FamilyRule:
        return self._city.payment_rules(clock.today()).family

    def _index(self, code: str) -> bytes:
        return self._vault.index("account_share.code", tidy(code).upper())

    def _phone(self, member: Any) -> str | None:
        if member is None or member.phone is None:
            return None
        phone = self._vault.open(member.phone, "person.phone", member.id)
        return f"{phone[-11:-8]}****{phone[-4:]}"


_USES = """
select u.id, u.at, u.action, u.account_id, u.subject_id from account_share s join binding b on b.id = s.binding_id
left join lateral (
  select * from access_use where share_id = s.id and ($4::uuid is null or id < $4) order by id desc limit $5
) u on true
where s.id = $1 and (($3::uuid is null and (b.person_id = $2 or s.member_id = $2)) or b.organization_id = $3) order by u.id desc
"""


async def lapse_invitations() -> int:
    """End the invitations that nobody has taken in time; how many."""
    ended = 0
    for row in await fetch(
        "select id from account_share where status = 'offered' and code_expires_at <= $1 limit 1000", clock.now()
    ):
        async with transaction():
            share, _ = await _locked_share(row["id"])
            if share is not None and share.status == ShareStatus.OFFERED:
                await move(ACCOUNT_SHARE, share, "lapse", SYSTEM, columns={"ended_at": clock.now()})
                ended += 1
    return ended


async def _locked_binding(account_id: UUID, principal: Principal) -> Binding:
    binding = await Binding.live(account_id, principal)
    locked = await Binding.filter(id=binding.id).select_for_update().get() if binding else None
    if locked is None or locked.revoked_at is not None:
        raise NotFound("utility_account")
    return locked


async def _locked_share(share_id: UUID) -> tuple[Share | None, Binding | None]:
    """A share and its binding, which is locked first, as where a binding ends."""
    known = await Share.get_or_none(id=share_id)
    if known is None:
        return None, None
    binding = await Binding.filter(id=known.binding_id).select_for_update().get()
    return await Share.filter(id=share_id).select_for_update().get(), binding
