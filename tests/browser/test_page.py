"""The page in a real browser: a person logs in at 鄂汇办, adds two accounts, pays both companies at once and sees the money recorded."""

import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Generator
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Page, Request, expect, sync_playwright

from lianban.keys import Ports
from tests.harness.world import free_ports

ROOT = Path(__file__).parents[2]
_CHROMIUM = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), ""
)
_FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip
_WAIT_MS = 20_000

pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]


@pytest.fixture(scope="module")
def ports(worker_id: str) -> Ports:
    return free_ports(worker_id, skip=60)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, ports: Ports) -> Generator[str]:
    """``lianban dev`` with the city's demo data; its address."""
    home = tmp_path_factory.mktemp("browser")
    home.chmod(0o755)
    command = [sys.executable, "-m", "lianban", "dev", "--no-demo", "--var", str(home / "var")]
    command += ["--port", str(ports.api), "--sandbox-port", str(ports.sandbox)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert process.stdout is not None
    said = []
    for line in process.stdout:
        said.append(line)
        if "已启动" in line:
            break
    else:
        raise AssertionError("".join(said))
    # Somebody has to read on: a full pipe would stop it.
    reader = threading.Thread(target=process.stdout.read)
    reader.start()
    yield f"http://127.0.0.1:{ports.api}"
    process.terminate()
    process.wait(60)
    reader.join()
    process.stdout.close()


@pytest.fixture(scope="module")
def browser() -> Generator[Browser]:
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=_CHROMIUM, args=list(_FLAGS))
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser: Browser, running: str) -> Generator[Page]:
    """A phone's screen; afterwards nothing was asked of a stranger, and no script failed."""
    context = browser.new_context(viewport={"width": 390, "height": 844}, locale="zh-CN", base_url=running)
    context.set_default_timeout(_WAIT_MS)
    expect.set_options(timeout=_WAIT_MS)
    page = context.new_page()
    errors: list[str] = []
    asked: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("request", lambda request: asked.append(_host(request)))
    yield page
    context.close()
    assert errors == []
    assert set(asked) <= {"127.0.0.1", "data"}


def test_a_person_logs_in_adds_accounts_and_pays_two_companies_at_once(page: Page, ports: Ports) -> None:
    page.goto("/")
    page.get_by_role("button", name="登录").click()
    page.get_by_role("button", name="用鄂汇办登录").click()
    expect(page.get_by_role("alert")).to_contain_text("先勾选同意")
    page.get_by_role("checkbox").click()
    page.get_by_role("button", name="用鄂汇办登录").click()
    page.get_by_role("button", name=re.compile("王小明")).click()

    _add(page, page.get_by_role("button", name="添加户号"), "鄂州市水务集团公司", "0203001234", "002X")
    _add(page, page.get_by_role("link", name="添加户号"), "鄂州供电公司", "4200012345678", "002X")
    expect(page.get_by_role("link", name=re.compile("水费"))).to_be_visible()
    expect(page.get_by_role("link", name=re.compile("电费"))).to_be_visible()

    page.get_by_role("button", name="去缴费").click()
    with page.expect_response(re.compile("/pay-params$")) as opened:
        page.get_by_role("button", name=re.compile("^缴费 ¥")).click()
    expect(page.get_by_text("还没收到付款")).to_be_visible()
    expect(page.locator(".code")).to_be_visible()

    _scanned_and_paid(ports, opened.value.json()["url"])
    expect(page.get_by_text("缴费成功")).to_be_visible(timeout=60_000)
    expect(page.get_by_text("已入账")).to_have_count(3)

    page.get_by_role("button", name="完成").click()
    expect(page.get_by_text("都缴清了").first).to_be_visible()
    page.get_by_role("link", name="消息").click()
    expect(page.get_by_text(re.compile("电费.*入账|入账.*电费")).first).to_be_visible()


def _add(page: Page, way: Any, company: str, number: str, proof: str) -> None:
    way.click()
    page.get_by_role("radio", name=company).click()
    page.locator("input").nth(0).fill(number)
    page.locator("input").nth(1).fill(proof)
    page.get_by_role("button", name="确认添加").click()
    expect(page.get_by_text(re.compile(f"{number[-4:]}$")).first).to_be_visible()


def _scanned_and_paid(ports: Ports, code: str) -> None:
    """Somebody's phone scans the code on the screen and pays."""
    control = f"http://127.0.0.1:{ports.sandbox}/control"
    with httpx.Client(trust_env=False) as client:
        person = client.post(f"{control}/people", json={"nickname": "小明"}).json()["person_id"]
        assert client.post(f"{control}/people/{person}/pay", json={"code_url": code}).json() == {"result": "ok"}


def _host(request: Request) -> str:
    return "data" if request.url.startswith("data:") else httpx.URL(request.url).host
