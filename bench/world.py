"""What a run is made in: settings as in production, tokens of those who are there today, processes that end with it."""

import json
import os
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from bench import seed
from core import settings as settings_module
from core.settings import Settings
from domain.identity.tokens import TokenKeys
from lianban import engines
from lianban.compose import AUDIENCE
from lianban.keys import Ports, ensure_dev_keys

ROOT = Path(__file__).parents[1]
TOKEN_LIFE_S = 6 * 3600


def settings_for(var_dir: Path, port: int, addresses: engines.Addresses, *, travels: bool = False) -> Settings:
    """Settings as in production: no clock that travels, which would be asked for at every look at the time, unless it must."""
    path, _ = ensure_dev_keys(var_dir, Ports(port, port + 10), "ezhou", addresses)
    settings = settings_module.load({"LIANBAN_SETTINGS": str(path)})
    settings = settings if travels else msgspec.structs.replace(settings, clock_file=None)
    path.with_name("bench.json").write_bytes(msgspec.json.encode(settings))
    path.with_name("bench.json").chmod(0o600)
    return settings


def work_for(var_dir: Path, settings: Settings) -> dict[str, Any]:
    """What the load generator needs: a token for each of those who are there today, and the platform's side of WeChat Pay."""
    keys = TokenKeys([(key.keyid, key.key) for key in settings.token_keys])
    now = int(time.time())
    claims = {
        "iss": settings.public_url,
        "aud": AUDIENCE,
        "lvl": 2,
        "auth_time": now,
        "iat": now,
        "exp": now + TOKEN_LIFE_S,
    }
    theirs = json.loads((var_dir / "keys" / "sandbox.json").read_bytes())["wechat_pay"]
    return {
        "tokens": [
            keys.sign(
                claims
                | {"sub": str(seed.row_id(seed.PERSON, n)), "uid": str(seed.row_id(seed.USER, n))}
                | {"sid": str(seed.row_id(10, n)), "jti": str(seed.row_id(11, n))}
            )
            for n in range(seed.ACTIVE)
        ],
        "wechat_pay": {
            "platform_private_key": theirs["public_key_private"],
            "public_key_id": settings.wechat_pay.public_key_id,
            "api_v3_key": settings.wechat_pay.api_v3_key,
            "appid": settings.wechat_pay.sp_appid,
            "mchid": settings.wechat_pay.sp_mchid,
            "sub_mchid": settings.companies["water"].sub_mchid,
        },
    }


@contextmanager
def process(command: Sequence[str], port: int, var_dir: Path, name: str) -> Iterator[subprocess.Popen[bytes]]:
    """A program of ours until the end of the block; `port`: where it must answer first, 0 for one that does not serve."""
    environ = os.environ | {"LIANBAN_SETTINGS": str(var_dir / "keys" / "bench.json"), "PYTHONPATH": str(ROOT)}
    for variable in ("DATABASE_URL", "DATABASE_OWNER_URL", "REDIS_URL", "LIANBAN_CLOCK_FILE", "LIANBAN_ENV"):
        environ.pop(variable, None)
    log = var_dir / f"{name}.log"
    with log.open("wb") as output:
        started = subprocess.Popen(command, env=environ, cwd=ROOT, stdout=output, stderr=output)
        try:
            if port:
                _wait_for(started, port, log)
            yield started
        finally:
            started.terminate()
            try:
                started.wait(15)
            except subprocess.TimeoutExpired:
                started.kill()
                started.wait()


def _wait_for(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    for _ in range(300):
        try:
            with (
                socket.create_connection(("127.0.0.1", port), 0.2),
                urllib.request.urlopen(f"http://127.0.0.1:{port}/livez", timeout=2),
            ):
                return
        except urllib.error.HTTPError:
            return
        except OSError:
            if process.poll() is not None:
                break
            time.sleep(0.1)
    raise SystemExit(f"{log}:\n{log.read_text(errors='replace')[-2000:]}")
