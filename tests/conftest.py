"""What every test may ask for: real engines, a database of its own, settings with fresh keys, the outside world."""

pytest_plugins = [
    "tests.harness.skips",
    "tests.harness.engines",
    "tests.harness.database",
    "tests.harness.world",
]
