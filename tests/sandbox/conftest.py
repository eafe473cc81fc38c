"""A sandbox of its own for each test."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.sandbox.wechat_support import World, world


@pytest.fixture
async def wechat(tmp_path: Path) -> AsyncIterator[World]:
    """WeChat and WeChat Pay, running, with a product that listens."""
    async with world(tmp_path) as running:
        yield running
