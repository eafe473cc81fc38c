"""docs/lifecycles.md is what the tables say."""

from lianban.lifecycles import DOCUMENT, document
from models.checks import LIFECYCLES


def test_the_document_is_not_stale() -> None:
    assert DOCUMENT.read_text() == document(), "run `make docs`"


def test_every_edge_is_drawn_and_listed() -> None:
    text = document()
    for law in LIFECYCLES.values():
        for edge in law.edges:
            assert f"  {edge.state} --> {edge.next_state}: {edge.event}\n" in text
            assert f"| {edge.state} | {edge.event} | {edge.next_state} | {', '.join(edge.who)} |" in text
