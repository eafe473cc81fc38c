"""The composed business for the tests of this room."""

from tests.harness.spine import spine

__all__ = ["spine"]
