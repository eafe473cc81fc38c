"""``lianban worker`` and ``serve`` as processes that are there before their database."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from core.settings import Settings
from lianban.engines import EmbeddedPostgres
from tests.harness import template
from tests.harness.world import DevFiles

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.timeout(120)


def test_started_before_the_database_they_wait_for_it_and_say_so(
    home: Path, migrated: Path, settings: Settings, dev_files: DevFiles
) -> None:
    template.copy(migrated, home / "postgres")
    postgres = EmbeddedPostgres(home / "postgres", home / "run", durable=False)
    url = postgres.start()
    postgres.stop()
    environ = {"LIANBAN_SETTINGS": str(dev_files.settings), "DATABASE_URL": url, "REDIS_URL": settings.redis_url}
    programs = {"worker": ["worker"], "serve": ["serve", "--workers", "0", "--port", "0", "--ops-port", "0"]}
    running: list[tuple[subprocess.Popen[bytes], Path]] = []
    try:
        for name, arguments in programs.items():
            log = home / f"{name}.log"
            with log.open("wb") as output:
                command = [sys.executable, "-m", "lianban", *arguments]
                process = subprocess.Popen(
                    command, cwd=ROOT, env={**os.environ, **environ}, stdin=subprocess.DEVNULL, stdout=output, stderr=output
                )  # fmt: skip
            running.append((process, log))
        for process, log in running:
            _until_said("database.awaited", log, process)
        assert postgres.start() == url
        for process, log in running:
            _until_said("database.answered", log, process)
    finally:
        for process, _ in running:
            process.send_signal(signal.SIGTERM)
        ended = [process.wait(30) for process, _ in running]
        postgres.stop()
    assert ended == [0, 0]


def _until_said(text: str, log: Path, process: subprocess.Popen[bytes]) -> None:
    pause = threading.Event()
    while text not in (said := log.read_text()):
        assert process.poll() is None, said
        pause.wait(0.05)
