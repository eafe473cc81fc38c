"""Materials of a person or an organization: taken once, kept sealed, shown by short links, used by applications.

The bytes leave a trace in three places in this order: the store, the row, the answer. A crash between the first two leaves sealed
bytes without a row, which :meth:`Materials.sweep` removes; so a row without bytes does not exist.
"""

import base64
import hashlib
import hmac
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from cities.materials import UploadRule
from cities.schema import City
from core import clock, ids
from core.crypto import Vault
from core.database import fetch, fetch_one, transaction, violated_constraint
from core.errors import LianbanError, NotFound
from core.log import get_logger
from core.queue import enqueue
from core.redis import Limiter
from domain.identity.tokens import Caller
from domain.materials.apart import Inspector
from domain.materials.inspecting import Limits
from domain.materials.scanning import Scanner
from domain.materials.store import Store
from models import audit
from models.access import Principal
from models.lifecycle import SYSTEM, born, move
from models.material import MATERIAL, Material, MaterialStatus, MaterialUse

log = get_logger(__name__)

SCAN_TASK = "materials.scan"
ERASE_TASK = "materials.erase"
_DAY = timedelta(days=1)
_CONTENT = "material.content"
_ORPHAN_AFTER = timedelta(hours=6)
_MOST_WAITING = 2000
_WAITING = "select id from material where status = 'unscanned' and created_at < $1 order by id limit $2"
_ONCE = ("material_once_per_person", "material_once_per_organization")


class PaperUnknown(LianbanError):
    """The city knows no such kind of paper. data: ``paper``."""

    code = "paper_unknown"


class MaterialInUse(LianbanError):
    """An application uses this material; it stays."""

    code = "material_in_use"


class MaterialWithheld(LianbanError):
    """The scanner found something in this material: it is shown to nobody."""

    code = "material_withheld"


class LinkRefused(LianbanError):
    """The link is over, another's, or for something else."""

    code = "material_link_refused"


class Link(NamedTuple):
    """What opens a material for one reader and one purpose, until `expires_at`."""

    text: str
    expires_at: datetime


class Materials:
    """Takes, lists, shows and removes materials."""

    def __init__(
        self, city: City, vault: Vault, store: Store, limiter: Limiter, inspector: Inspector, scanner: Scanner | None
    ) -> None:
        self._city = city
        self._vault = vault
        self._store = store
        self._limiter = limiter
        self._inspector = inspector
        self._scanner = scanner

    def rule(self) -> UploadRule:
        """The limits of today."""
        return self._city.materials.upload_rule(clock.today())

    async def upload(self, caller: Caller, kind: str, content: bytes) -> Material:
        """Keep a paper; the same bytes of the same kind again are the same material.

        Raises:
            PaperUnknown. MaterialRefused: not what we keep, see there. RateLimited: too many today. StoreAway.
        """
        if self._city.materials.paper(kind) is None:
            raise PaperUnknown(paper=kind)
        rule, principal = self.rule(), caller.principal
        owner = principal.organization_id or principal.person_id
        await self._limiter.take(f"materials:{owner}", rule.most_per_day, _DAY)
        index = self._vault.index(f"material.content.{owner}", hashlib.sha256(content).hexdigest())
        if (known := await self._known(principal, kind, index)) is not None:
            return known
        found, clean = await self._inspector.inspect(
            content, Limits(rule.most_bytes, rule.most_pixels, rule.most_pages)
        )
        material = Material(
            id=ids.new_id(),
            status=MaterialStatus.UNSCANNED.value,
            actor_user_id=caller.user_id,
            kind=kind,
            content_index=index,
            media_type=found.media_type,
            size_bytes=len(clean),
            width=found.width,
            height=found.height,
            pages=found.pages,
            created_at=clock.now(),
            **principal.owned,
        )
        await self._store.put(material.id, self._vault.seal(clean, _CONTENT, material.id))
        try:
            async with transaction():
                await material.save(force_create=True)
                await born(MATERIAL, material, caller.actor)
                if self._scanner is not None:
                    await enqueue(SCAN_TASK, material_id=material.id)
        except Exception as error:
            if violated_constraint(error) not in _ONCE:
                raise
            # The same upload twice at once: the other was first, and these bytes are nobody's.
            await self._store.delete(material.id)
            known = await self._known(principal, kind, index)
            assert known is not None
            return known
        return material

    async def of(self, principal: Principal, after: UUID | None, limit: int) -> list[Material]:
        """The principal's materials that are not removed, newest first."""
        query = Material.filter(removed_at=None, **principal.owned)
        return await (query.filter(id__lt=after) if after else query).order_by("-id").limit(limit)

    async def remove(self, caller: Caller, material_id: UUID) -> None:
        """Forget a material that no application uses; its bytes go by a job.

        Raises:
            NotFound. MaterialInUse.
        """
        async with transaction():
            material = (
                await Material.filter(id=material_id, removed_at=None, **caller.principal.owned)
                .select_for_update()
                .get_or_none()
            )
            if material is None:
                raise NotFound("material")
            if await MaterialUse.filter(material_id=material_id, ended_at=None).exists():
                raise MaterialInUse
            await move(MATERIAL, material, "remove", caller.actor, columns={"removed_at": clock.now()})
            await enqueue(ERASE_TASK, material_id=material_id)

    async def link(self, caller: Caller, material_id: UUID) -> Link:
        """A link by which the owner sees his own material.

        Raises:
            NotFound. MaterialWithheld.
        """
        await self._own(caller.principal, material_id)
        return self.link_for(material_id, f"person:{caller.person_id}", "own")

    async def read(self, caller: Caller, material_id: UUID, text: str) -> tuple[Material, bytes]:
        """The owner's material behind his own link.

        Raises:
            NotFound. MaterialWithheld. LinkRefused. StoreAway.
        """
        material = await self._own(caller.principal, material_id)
        self.check_link(text, material_id, f"person:{caller.person_id}", "own")
        return material, await self.content(material)

    def link_for(self, material_id: UUID, reader: str, purpose: str) -> Link:
        """A link bound to one material, reader and purpose. Whether he may read is asked before, and again when he does."""
        expires_at = clock.now() + self.rule().link_life
        end_s = int(expires_at.timestamp())
        return Link(f"{end_s}.{self._mark(material_id, reader, purpose, end_s)}", expires_at)

    def check_link(self, text: str, material_id: UUID, reader: str, purpose: str) -> None:
        """Raises :class:`LinkRefused`."""
        end, _, mark = text.partition(".")
        if not (end.isascii() and end.isdigit() and len(end) <= 12 and mark.isascii()):
            raise LinkRefused
        if int(end) <= clock.timestamp() or not hmac.compare_digest(
            mark, self._mark(material_id, reader, purpose, int(end))
        ):
            raise LinkRefused

    async def content(self, material: Material) -> bytes:
        """The bytes of a material. Raises :class:`StoreAway`."""
        sealed = await self._store.get(material.id)
        return self._vault.open_bytes(sealed, _CONTENT, material.id)

    async def scan(self, material_id: UUID) -> None:
        """Ask the scanner; without one a material stays unscanned."""
        material = await Material.get(id=material_id)
        if self._scanner is None or material.status != MaterialStatus.UNSCANNED:
            return
        verdict = await self._scanner.scan(await self.content(material))
        async with transaction():
            material = await Material.filter(id=material_id).select_for_update().get()
            if material.status == MaterialStatus.UNSCANNED:
                event = "found_clean" if verdict == "clean" else "found_infected"
                await move(MATERIAL, material, event, SYSTEM)

    async def scan_waiting(self) -> int:
        """Ask again for what nobody has looked at, so that a scanner that is connected later, or was away for long, sees everything; how many."""
        if self._scanner is None:
            return 0
        rows = await fetch(_WAITING, clock.now() - _ORPHAN_AFTER, _MOST_WAITING)
        for row in rows:
            async with transaction():
                await enqueue(SCAN_TASK, material_id=row["id"])
        return len(rows)

    async def erase(self, material_id: UUID) -> None:
        """Remove the bytes of a removed material, and say when."""
        material = await Material.get(id=material_id)
        if material.removed_at is None or material.erased_at is not None:
            return
        await self._store.delete(material.id)
        await fetch("update material set erased_at = $2 where id = $1", material_id, clock.now())
        await audit.record(SYSTEM, "material.erased", "material", material_id)

    async def sweep(self) -> int:
        """Remove sealed bytes that have no row: an upload died before its commit. How many."""
        keys = await self._store.older_than(clock.to_real(clock.now()) - _ORPHAN_AFTER)
        removed = 0
        for key in keys:
            if await fetch_one("select 1 from material where id = $1 and erased_at is null", key) is None:
                await self._store.delete(key)
                removed += 1
        if removed:
            log.info("materials.orphans_removed", removed=removed)
        return removed

    def _mark(self, material_id: UUID, reader: str, purpose: str, end_s: int) -> str:
        made = self._vault.index("material.link", f"{material_id}|{reader}|{purpose}|{end_s}")
        return base64.urlsafe_b64encode(made).rstrip(b"=").decode()

    async def _own(self, principal: Principal, material_id: UUID) -> Material:
        material = await Material.get_or_none(id=material_id, removed_at=None, **principal.owned)
        if material is None:
            raise NotFound("material")
        if material.status == MaterialStatus.QUARANTINED:
            raise MaterialWithheld
        return material

    async def _known(self, principal: Principal, kind: str, index: bytes) -> Material | None:
        return await Material.get_or_none(removed_at=None, kind=kind, content_index=index, **principal.owned)
