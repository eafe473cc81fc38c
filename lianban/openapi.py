"""``lianban openapi``: prints the OpenAPI description of this version's interface."""

import argparse
import json

from api.openapi import document
from api.routes import ROUTES


def add_arguments(_parser: argparse.ArgumentParser) -> None:
    """None."""


def run(_arguments: argparse.Namespace) -> int:
    """Print it."""
    print(json.dumps(document(ROUTES), ensure_ascii=False, indent=2))
    return 0
