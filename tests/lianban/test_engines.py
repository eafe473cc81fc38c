"""Embedded engines: they start anywhere, survive our death, recover from theirs, and stop when told."""

import os
import shutil
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import psutil
import psycopg
import pytest
from redis import Redis

from lianban import engine_host, os_account
from lianban.engines import AlreadyRunning, EmbeddedPostgres, EmbeddedValkey, EngineFailed, locked, running
from tests.harness import template
from tests.harness.processes import is_alive, processes_below, select

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def postgres(home: Path, cluster: Path) -> EmbeddedPostgres:
    template.copy(cluster, home / "postgres")
    return EmbeddedPostgres(home / "postgres", home / "run", durable=False)


def test_a_start_makes_the_database_and_the_next_one_finds_its_data(home: Path) -> None:
    postgres = EmbeddedPostgres(home / "postgres", home / "run")
    _write(postgres.start(), "kept")
    postgres.stop()
    assert _read(postgres.start()) == "kept"
    postgres.stop()


def test_only_the_owner_can_reach_the_sockets_and_no_port_is_open(home: Path) -> None:
    with running(home, {}) as addresses:
        with psycopg.connect(addresses.database_url) as connection:
            assert connection.execute("show listen_addresses").fetchone() == ("",)
        with Redis.from_url(addresses.redis_url) as redis:
            assert redis.config_get("port") == {"port": "0"} or redis.config_get("port") == {b"port": b"0"}
        for folder in (home / "run", home / "valkey", home / "postgres"):
            assert folder.stat().st_mode & 0o077 == 0
    assert processes_below(home) == []


def test_named_engines_are_not_started(home: Path) -> None:
    with running(home, {"DATABASE_URL": "postgresql://elsewhere/db", "REDIS_URL": "redis://elsewhere"}) as addresses:
        assert addresses == ("postgresql://elsewhere/db", "redis://elsewhere")
    assert list(home.iterdir()) == []


def test_after_a_kill_of_the_starter_the_next_start_goes_on_with_the_same_engines(home: Path, cluster: Path) -> None:
    template.copy(cluster, home / "postgres")
    first = _starter(home)
    before = {process.pid for process in processes_below(home)}
    _end(first)
    with running(home, {}) as addresses:
        _write(addresses.database_url, "whole")
        assert {process.pid for process in _postmasters(home)} <= before
    assert processes_below(home) == []


def test_after_a_kill_of_everything_the_next_start_recovers_with_the_data_whole(home: Path) -> None:
    first = _starter(home)
    postgres = EmbeddedPostgres(home / "postgres", home / "run")
    _write(postgres.start(), "committed")
    for process in [*_postmasters(home), *processes_below(home)]:
        process.kill()
    _end(first)
    with running(home, {}) as addresses:
        assert _read(addresses.database_url) == "committed"


@pytest.mark.parametrize("number", [pytest.param(os.getpid(), id="alive"), pytest.param(999_999_999, id="nobody")])
def test_a_stale_pid_file_with_a_number_that_is_now_somebody_elses_is_no_server(
    postgres: EmbeddedPostgres, number: int
) -> None:
    postgres.start()
    postgres.stop()
    lines = [str(number), str(postgres.data_dir), "1", "5432", "/nowhere", "", "1 1", "ready", ""]
    (postgres.data_dir / "postmaster.pid").write_text("\n".join(lines))
    _write(postgres.start(), "started")
    postgres.stop()


def test_an_orphaned_backend_is_ended_before_the_next_server_writes(postgres: EmbeddedPostgres, home: Path) -> None:
    url = postgres.start()
    busy = psycopg.connect(url, autocommit=True)
    (backend,) = busy.execute("select pg_backend_pid()").fetchone() or (0,)
    # Stopped, it cannot notice that its postmaster died.
    os.kill(backend, signal.SIGSTOP)
    (postmaster,) = _postmasters(home)
    postmaster.kill()
    other = EmbeddedPostgres(home / "postgres", home / "run", durable=False)
    _write(other.start(), "safe")
    assert not is_alive(backend)
    other.stop()
    postgres.stop()
    busy.close()


def test_stop_also_stops_a_server_that_somebody_else_started_since(postgres: EmbeddedPostgres, home: Path) -> None:
    postgres.start()
    postgres.stop()
    other = EmbeddedPostgres(home / "postgres", home / "run", durable=False)
    other.start()
    postgres.stop()
    assert processes_below(home) == []
    other.stop()


def test_stop_waits_for_no_client_that_stays(postgres: EmbeddedPostgres, home: Path) -> None:
    connection = psycopg.connect(postgres.start(), autocommit=True)
    connection.execute("select 1")
    postgres.stop()
    assert processes_below(home) == []
    connection.close()


def test_stopping_what_never_started_or_stands_still_is_fine(postgres: EmbeddedPostgres, home: Path) -> None:
    postgres.stop()
    postgres.start()
    postgres.stop()
    postgres.stop()
    valkey = EmbeddedValkey(home / "valkey")
    valkey.stop()
    valkey.start()
    valkey.stop()
    valkey.stop()


def test_a_start_that_was_killed_in_the_middle_leaves_nothing_that_stops_the_next(
    home: Path,
) -> None:
    postgres = EmbeddedPostgres(home / "postgres", home / "run", durable=False)
    half = home / ".postgres.new-half"
    half.mkdir()
    (half / "PG_VERSION").write_text("18\n")
    _write(postgres.start(), "made")
    assert not half.exists()
    postgres.stop()


def test_a_server_that_cannot_start_says_why(postgres: EmbeddedPostgres) -> None:
    postgres.start()
    postgres.stop()
    (postgres.data_dir / "postgresql.conf").write_text("no_such_setting = 1\n")
    with pytest.raises(EngineFailed, match="no_such_setting"):
        postgres.start()


def test_a_long_path_gets_a_short_socket_that_is_ours_alone(home: Path, cluster: Path) -> None:
    deep = home / ("d" * 120)
    deep.mkdir()
    template.copy(cluster, deep / "postgres")
    with running(deep, {}) as addresses:
        _write(addresses.database_url, "reached")
        with Redis.from_url(addresses.redis_url) as redis:
            assert redis.ping()
            socket = Path(redis.connection_pool.connection_kwargs["path"])
        assert len(str(socket)) <= engine_host.SOCKET_PATH_MAX
        assert socket.parent.stat().st_mode & 0o077 == 0
    assert not socket.parent.exists()


def test_a_socket_folder_that_is_only_a_link_is_refused(home: Path, postgres: EmbeddedPostgres) -> None:
    elsewhere = home / "elsewhere"
    elsewhere.mkdir()
    (home / "run").symlink_to(elsewhere)
    with pytest.raises(EngineFailed, match="not ours"):
        postgres.start()


def test_two_checkouts_run_side_by_side(home: Path, cluster: Path) -> None:
    for name in ("one", "two"):
        (home / name).mkdir()
        template.copy(cluster, home / name / "postgres")
    with running(home / "one", {}) as one, running(home / "two", {}) as two:
        _write(one.database_url, "first")
        _write(two.database_url, "second")
        assert (_read(one.database_url), _read(two.database_url)) == ("first", "second")
        assert one.redis_url != two.redis_url


def test_a_frozen_valkey_is_replaced(home: Path) -> None:
    frozen = EmbeddedValkey(home / "valkey")
    frozen.start()
    (process,) = processes_below(home)
    process.suspend()
    fresh = EmbeddedValkey(home / "valkey")
    with Redis.from_url(fresh.start()) as redis:
        assert redis.ping()
    assert not is_alive(process.pid)
    fresh.stop()
    frozen.stop()


def test_no_closed_folder_is_opened_and_as_root_the_data_lie_where_their_user_can_reach_them(home: Path) -> None:
    closed = home / "closed"
    closed.mkdir(mode=0o700)
    postgres = EmbeddedPostgres(closed / "postgres", closed / "run", durable=False)
    _write(postgres.start(), "apart")
    assert closed.stat().st_mode & 0o777 == 0o700
    is_apart = os_account.for_postgres() is not None
    assert (closed / "postgres").is_symlink() == is_apart
    assert postgres.data_dir.is_relative_to(os_account.home() if is_apart else closed)
    postgres.stop()
    again = EmbeddedPostgres(closed / "postgres", closed / "run", durable=False)
    assert _read(again.start()) == "apart"
    again.stop()
    if is_apart:
        assert again.data_dir.parent.parent == os_account.home()
        shutil.rmtree(again.data_dir.parent)


def test_the_lock_is_held_by_one_and_freed_by_death(tmp_path: Path) -> None:
    path = tmp_path / "dev.lock"
    with locked(path), pytest.raises(AlreadyRunning, match=str(os.getpid())), locked(path):
        pass
    holder = _python(f"""
        import sys; from pathlib import Path; from lianban.engines import locked
        with locked(Path({str(path)!r})):
            print("held", flush=True); sys.stdin.read()
    """)
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"held\n"
    with pytest.raises(AlreadyRunning, match=str(holder.pid)), locked(path):
        pass
    _end(holder)
    with locked(path):
        pass


def _starter(home: Path) -> subprocess.Popen[bytes]:
    """A process that has started both engines and stays."""
    process = _python(f"""
        import sys; from pathlib import Path; from lianban.engines import running
        with running(Path({str(home)!r}), {{}}):
            print("up", flush=True); sys.stdin.read()
    """)
    assert process.stdout is not None
    assert process.stdout.readline() == b"up\n"
    return process


def _python(code: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", textwrap.dedent(code)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.communicate()


def _write(url: str, text: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute("create table if not exists note (text text)")
        connection.execute("insert into note values (%s)", [text])


def _read(url: str) -> str:
    with psycopg.connect(url) as connection:
        (text,) = connection.execute("select text from note").fetchone() or ("",)
        return text


def _postmasters(folder: Path) -> list[psutil.Process]:
    return select(lambda process: Path(process.cwd()).is_relative_to(folder) and "-D" in process.cmdline())
