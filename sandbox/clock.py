"""The sandbox's own clock: real time plus the seconds in ``clock_file``, so that it travels with the product."""

import os
import time
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

SHANGHAI = timezone(timedelta(hours=8), "Asia/Shanghai")


class Clock:
    """Reads the offset file again whenever it changes; a missing file means 0."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._stamp: tuple[int, int] | None = None
        self._offset_s = 0.0

    def timestamp(self) -> float:
        """Seconds since the epoch."""
        return time.time() + self._offset()

    def now(self) -> datetime:
        """The current time, aware, in Asia/Shanghai as WeChat and the companies print it."""
        return datetime.fromtimestamp(self.timestamp(), UTC).astimezone(SHANGHAI)

    def iso(self, timestamp: float | None = None) -> str:
        """RFC 3339 with whole seconds and ``+08:00``; the current time when no timestamp is given."""
        moment = self.timestamp() if timestamp is None else timestamp
        return datetime.fromtimestamp(moment, UTC).astimezone(SHANGHAI).isoformat(timespec="seconds")

    def _offset(self) -> float:
        if self._path is None:
            return 0.0
        try:
            stat = os.stat(self._path)
            stamp = (stat.st_mtime_ns, stat.st_size)
            if stamp != self._stamp:
                self._offset_s = float(self._path.read_text(encoding="ascii").strip() or 0)
                self._stamp = stamp
        except FileNotFoundError:
            self._offset_s, self._stamp = 0.0, None
        except ValueError:
            pass  # half-written: keep the last offset, the next look reads the whole number
        return self._offset_s
