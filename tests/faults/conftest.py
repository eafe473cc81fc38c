"""What was killed where, and how long it took until all was whole again: told at the end of the run."""

import pytest

from tests.lianban.conftest import cluster, home, migrated

__all__ = ["cluster", "home", "migrated"]  # fixtures

RECOVERED = "recovered"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    lines = [
        str(value)
        for report in terminalreporter.getreports("passed")
        for name, value in report.user_properties
        if name == RECOVERED
    ]
    if lines:
        terminalreporter.section(f"killed and recovered: {len(lines)}")
        for line in sorted(lines):
            terminalreporter.write_line(line)
