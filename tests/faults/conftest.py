"""What was killed where, and how long it took until all was whole again: told at the end of the run."""

import pytest

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
