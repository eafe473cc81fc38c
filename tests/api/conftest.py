"""Tests of the edge see it only over HTTP."""

from tests.harness.edge import edge

__all__ = ["edge"]
