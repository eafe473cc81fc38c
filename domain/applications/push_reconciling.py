"""Every night: what the platform says it has pushed, against what has come here. What differs stands in the staff's list of pushes."""

from datetime import date, timedelta

from cities.schema import City
from core import clock
from core.database import fetch, transaction
from core.log import get_logger
from domain.applications.pushes import SOURCE, expected
from gateways.construction_platform import ConstructionPlatform, Listed
from models.lifecycle import SYSTEM
from models.platform_push import PlatformPush

log = get_logger(__name__)

_WAITING = "select 1 from inbox where source = $1 and key = $2 and processed_at is null"
_UNLISTED = """
update platform_push set difference = 'unlisted'
where pushed_on = $1 and received_at is not null and number <> all($2::text[]) and difference is null
returning number
"""
_LISTED = "update platform_push set difference = null where number = any($1::text[]) and difference = 'unlisted'"


class PushReconciling:
    """Compares days. What has been settled stays settled; the same day may be compared as often as one likes."""

    def __init__(self, city: City, platform: ConstructionPlatform | None) -> None:
        self._city = city
        self._platform = platform

    async def nightly(self) -> int:
        """Compare the last days that are over, oldest first; how many differences there were."""
        if self._platform is None:
            return 0
        look_back: timedelta = self._city.applications.push_rule(clock.today()).look_back
        days = range(look_back.days, 0, -1)
        return sum([await self.compare(self._platform, clock.today() - timedelta(days=back)) for back in days])

    async def compare(self, platform: ConstructionPlatform, day: date) -> int:
        """One day; how many differences.

        Raises:
            PlatformRefusal, NotSent, OutcomeUnknown.
        """
        listed = await platform.pushed(day)
        found = [await self._looked_at(one, day) for one in listed]
        numbers = [one.push_id for one in listed]
        await fetch(_LISTED, numbers)
        unlisted = await fetch(_UNLISTED, day, numbers)
        differing = sum(found) + len(unlisted)
        (log.error if differing else log.info)("pushes.compared", day=str(day), listed=len(listed), differing=differing)
        return differing

    async def _looked_at(self, one: Listed, day: date) -> bool:
        """True when this listed push has not come, or came with other bytes."""
        async with transaction():
            push = await PlatformPush.filter(number=one.push_id).select_for_update().get_or_none()
            if push is None:
                if await fetch(_WAITING, SOURCE, one.push_id):
                    return False  # it has come and is about to be worked
                await expected(one.push_id, day, SYSTEM)
                return True
            if push.sha256 is None:
                return push.ended_at is None
            if push.sha256 == one.sha256 or push.difference == "content":
                return push.sha256 != one.sha256
            push.difference = "content"
            await push.save(update_fields=["difference"])
            return True
