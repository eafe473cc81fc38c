"""The contract is judged from outside, over HTTP."""

from tests.harness.edge import edge

__all__ = ["edge"]
