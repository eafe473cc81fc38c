"""The composed business for the tests of this room."""

from tests.harness.spine import door, spine

__all__ = ["door", "spine"]
