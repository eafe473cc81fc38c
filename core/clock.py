"""The only source of *now*.

Everything that asks for the time asks here (ruff bans the others). Durations use the monotonic clock. In dev and in tests an
offset lets time travel: :func:`follow` names a file that holds seconds to add, read again whenever it changes, so that API,
worker and sandbox travel together; :func:`travel` sets it inside one process. ``lianban serve`` refuses to start with either.
"""

import os
import time
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path

SHANGHAI = timezone(timedelta(hours=8), "Asia/Shanghai")
"""China has had one time zone without daylight saving since 1991; a fixed offset needs no zone database."""

_offset_s: float = 0.0
_file: Path | None = None
_file_stamp: tuple[int, int] | None = None


def follow(path: Path | None) -> None:
    """Take the offset from `path` (one number, seconds) from now on; ``None`` ends it. A missing file means 0."""
    global _file, _file_stamp, _offset_s
    _file, _file_stamp, _offset_s = path, None, 0.0


def travel(offset: timedelta) -> None:
    """Set the offset of this process (tests)."""
    global _offset_s
    _offset_s = offset.total_seconds()


def is_real() -> bool:
    """True when neither a file nor an offset bends the time."""
    return _file is None and _offset_s == 0.0


def now() -> datetime:
    """The current time, aware, UTC."""
    return datetime.fromtimestamp(time.time() + _offset(), UTC)


def timestamp() -> float:
    """The current time in seconds since the epoch, for signatures and tokens."""
    return time.time() + _offset()


def today() -> date:
    """The current day in Ezhou."""
    return now().astimezone(SHANGHAI).date()


def to_real(moment: datetime) -> datetime:
    """The real time at which this travelled clock will show `moment`: for those who keep their own time, such as the queue."""
    return moment - timedelta(seconds=_offset())


def monotonic() -> float:
    """Seconds for measuring durations; never travels."""
    return time.monotonic()


def _offset() -> float:
    global _file_stamp, _offset_s
    if _file is None:
        return _offset_s
    try:
        stat = os.stat(_file)
        stamp = (stat.st_mtime_ns, stat.st_size)
        if stamp != _file_stamp:
            _offset_s = float(_file.read_text().strip() or 0)
            _file_stamp = stamp
    except FileNotFoundError:
        _offset_s, _file_stamp = 0.0, None
    except ValueError:
        pass  # half-written file: keep the last offset, the next look reads it whole
    return _offset_s
