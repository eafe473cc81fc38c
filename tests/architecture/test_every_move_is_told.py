"""Every change of state is told to everybody it concerns, or stands among the silent with the reason: there is no default.

The lifecycles are found by importing every module of ``models``, the births and the other events by reading the source, so a new
one is red here until the city pack says who hears of it.
"""

import ast
import importlib
import pkgutil
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec
import pytest

import models
from cities.loader import load_city
from cities.schema import City
from jobs.events import LISTENERS
from models.lifecycle import LIFECYCLES, Edge, Lifecycle
from models.message import MESSAGE, MessageStatus

ROOT = Path(__file__).parents[2]
ROOMS = ("api", "domain", "jobs", "lianban", "notifications", "payments")
CITY = load_city("ezhou")
_PACK = "cities/ezhou/messages.toml"

for module in pkgutil.iter_modules(models.__path__, "models."):
    if not module.ispkg:
        importlib.import_module(module.name)


def births() -> dict[str, set[str]]:
    """Lifecycle → the events that ``born(LAW, …, announces=…)`` announces, or ``born_all``."""
    laws = {law.subject.upper(): law.subject for law in LIFECYCLES.values()}
    found: dict[str, set[str]] = {}
    for call in (*_calls("born"), *_calls("born_all")):
        name = ast.unparse(call.args[0])
        assert name in laws, f"born({name}): a lifecycle's constant is its table's name in capitals"
        kinds = found.setdefault(laws[name], set())
        kinds |= {ast.literal_eval(keyword.value) for keyword in call.keywords if keyword.arg == "announces"}
    return found


def announced() -> set[str]:
    """The events of things without a lifecycle."""
    return {str(ast.literal_eval(call.args[0])) for call in _calls("announce")}


def untold(laws: Mapping[str, Lifecycle], city: City) -> list[str]:
    """What has neither a message nor a reason, each with what to write where."""
    faults: list[str] = []
    told_at_birth = births()
    born = [
        (f"{subject}.born", kind) for subject in laws for kind in sorted(told_at_birth.get(subject, set())) or [None]
    ]
    edges = [
        (f"{law.subject}.{edge.state}.{edge.event}", edge.announces) for law in laws.values() for edge in law.edges
    ]
    for name, kind in [*born, *edges]:
        if kind is None and name not in city.silent_edges:
            faults.append(f"{name} announces no event: let it, or add it to the edges of a [[silent]] with a reason")
        if kind is not None and name in city.silent_edges:
            faults.append(f"{name} announces {kind}, so it is not silent")
    kinds = {kind for _, kind in [*born, *edges] if kind is not None} | announced()
    faults += [
        f"{kind} has no [[told]] with its messages for each audience, and no [[silent]] with a reason"
        for kind in kinds - {*city.told, *city.silent}
    ]
    faults += [f"[audiences] does not say whom {subject} concerns" for subject in laws if subject not in city.audiences]
    return sorted(set(faults))


def test_every_move_has_its_messages_for_each_audience_or_a_reason() -> None:
    assert untold(LIFECYCLES, CITY) == [], f"see [[told]] and [[silent]] in {_PACK}"


def test_nothing_is_told_of_what_cannot_happen() -> None:
    edges = {f"{law.subject}.{edge.state}.{edge.event}" for law in LIFECYCLES.values() for edge in law.edges}
    assert set(CITY.silent_edges) - edges - {f"{subject}.born" for subject in LIFECYCLES} == set()
    assert {*CITY.told, *CITY.silent} - set(LISTENERS) == set()


def test_every_kind_of_message_belongs_to_an_event_and_somebody_writes_it() -> None:
    told = {kind for told in CITY.told.values() for kinds in told.messages.values() for kind in kinds}
    assert set(CITY.messages) == told, f"a [[told]] in {_PACK} names the messages of its event"
    written = {
        node.value
        for tree in _trees()
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    assert told - written == set()
    assert [kind for kind, told in CITY.told.items() if told.messages and not LISTENERS.get(kind)] == []


@pytest.mark.parametrize("announces", [None, "parcel.sent"], ids=["a silent edge", "an edge with an event"])
def test_a_new_edge_is_seen(announces: str | None) -> None:
    law = Lifecycle(
        "parcel",
        MessageStatus,
        initial="pending",
        terminal=("delivered",),
        edges=(Edge("pending", "send", "delivered", ("system",), announces),),
    )
    del LIFECYCLES["parcel"]
    faults = untold({**LIFECYCLES, "parcel": law}, CITY)
    assert sorted(fault.partition(" ")[0] for fault in faults) == [
        "[audiences]",
        "parcel.born",
        announces or "parcel.pending.send",
    ]


def test_an_edge_that_no_reason_covers_any_more_is_seen() -> None:
    silent = {name: why for name, why in CITY.silent_edges.items() if name != "message.sending.lost"}
    changed = msgspec.structs.replace(CITY, silent_edges=silent)
    assert [fault.partition(" ")[0] for fault in untold({"message": MESSAGE}, changed)] == ["message.sending.lost"]


def _calls(name: str) -> Iterator[ast.Call]:
    for tree in _trees():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and getattr(node.func, "id", None) == name:
                yield node


def _trees() -> Iterator[ast.Module]:
    for room in ROOMS:
        for path in sorted((ROOT / room).rglob("*.py")):
            yield ast.parse(path.read_text())
