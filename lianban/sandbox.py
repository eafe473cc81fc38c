"""``lianban sandbox``: the outside world as a process of its own, which ends when we do."""

import argparse
import os
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx

from core import clock
from core.errors import LianbanError

START_TIMEOUT_S = 120.0
"""Of a machine that has much else to do; a sandbox that ends before is noticed at once."""
STOP_TIMEOUT_S = 10.0


class SandboxFailed(LianbanError):
    """The sandbox does not come up, or has ended untold. The message carries the end of its log."""

    code = "sandbox_failed"


class SandboxProcess:
    """The running sandbox on its ports from `port`; use as a context manager.

    It shares no code with us, so it is started by its name and spoken to over HTTP. Its standard input is ours to hold:
    when we end, however we end, it stops.
    """

    def __init__(self, config: Path, port: int, *, log: Path) -> None:
        self.config = config
        self.port = port
        self.log = log
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where WeChat and the control endpoints answer."""
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start it; :meth:`wait_until_healthy` tells when it answers."""
        command = [sys.executable, "-m", "sandbox", "--stdin-guard", "--config", str(self.config)]
        command += ["--port", str(self.port)]
        with self.log.open("ab") as output:
            self._child = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                # Its packages stand beside ours; and Ctrl-C is for us, who then stop it.
                cwd=Path(__file__).parents[1],
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
                start_new_session=True,
            )

    def wait_until_healthy(self) -> None:
        """Return once all its ports serve.

        Raises:
            SandboxFailed: it ended, or does not answer in time.
        """
        end = clock.monotonic() + START_TIMEOUT_S
        with httpx.Client(trust_env=False, timeout=2.0) as client:
            while clock.monotonic() < end and self.is_alive():
                with suppress(httpx.HTTPError):
                    # Somebody else's sandbox may hold the ports; ours says its own number.
                    answer = client.get(f"{self.url}/control/health")
                    if answer.status_code == 200 and self._child and answer.json().get("pid") == self._child.pid:
                        return
                time.sleep(0.05)
        self.stop()
        raise SandboxFailed(f"the sandbox does not start; {self.log} ends with:\n{self.log_end()}")

    def is_alive(self) -> bool:
        """True while the process runs."""
        return self._child is not None and self._child.poll() is None

    def stop(self) -> None:
        """End its standard input, which it takes as the word to stop; kill it when it does not listen."""
        if self._child is None:
            return
        assert self._child.stdin is not None
        self._child.stdin.close()
        try:
            self._child.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()
        self._child = None

    def kill(self) -> None:
        """SIGKILL, for tests of what it had answered for."""
        if self._child is not None and self._child.stdin is not None:
            self._child.kill()
            self._child.stdin.close()
            self._child.wait()
            self._child = None

    def log_end(self) -> str:
        """The last lines it wrote."""
        return self.log.read_text(errors="replace")[-2000:] if self.log.exists() else ""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``python -m sandbox``."""
    parser.add_argument("--config", type=Path, default=Path("var/keys/sandbox.json"))
    parser.add_argument("--port", type=int, default=9100, help="the first of five")


def run(arguments: argparse.Namespace) -> int:
    """Become the sandbox."""
    command = [sys.executable, "-m", "sandbox", "--config", str(arguments.config), "--port", str(arguments.port)]
    os.execv(sys.executable, command)  # noqa: S606  nothing of ours is left to clean up
