"""Says at the very end what was skipped and why; ``--no-skips`` makes that a failure.

A test that did not run has proved nothing.
"""

from collections.abc import Generator
from typing import Any

import pytest

_SKIPPED = pytest.StashKey[dict[str, str]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--no-skips", action="store_true", help="fail when anything is skipped")


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    skipped = config.stash[_SKIPPED] = {}
    config.pluginmanager.register(_Recorder(skipped), "skips")
    if config.pluginmanager.has_plugin("dsession"):
        config.pluginmanager.register(_FromWorkers(skipped), "skips-of-workers")


class _Recorder:
    def __init__(self, skipped: dict[str, str]) -> None:
        self._skipped = skipped

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.skipped and not hasattr(report, "wasxfail"):
            self._skipped[report.nodeid] = _reason(report)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """A module skipped as a whole: a worker keeps it to itself unless told otherwise."""
        if report.skipped:
            self._skipped[report.nodeid] = _reason(report)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> Generator[None, Any, Any]:
        config = session.config
        if hasattr(config, "workerinput"):
            config.workeroutput["skipped"] = self._skipped  # type: ignore[attr-defined]
            return (yield)
        if self._skipped and config.getoption("no_skips") and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
        result = yield
        terminal = config.pluginmanager.get_plugin("terminalreporter")
        if terminal is not None and not config.option.collectonly:
            why = "; ".join(f"{nodeid}: {reason}" for nodeid, reason in sorted(self._skipped.items()))
            terminal.ensure_newline()
            terminal.write_line(f"skipped: {len(self._skipped)}" + (f" ({why})" if why else ""))
        return result


class _FromWorkers:
    def __init__(self, skipped: dict[str, str]) -> None:
        self._skipped = skipped

    def pytest_testnodedown(self, node: Any) -> None:
        self._skipped.update(getattr(node, "workeroutput", {}).get("skipped", {}))


def _reason(report: pytest.TestReport | pytest.CollectReport) -> str:
    if isinstance(report.longrepr, tuple):
        return str(report.longrepr[2]).removeprefix("Skipped: ")
    return str(report.longrepr)
