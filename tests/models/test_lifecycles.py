"""The law of every case is one table: whole, reachable, left at its ends only by edges that are named here."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.checks import LIFECYCLES
from models.lifecycle import Actor, Edge, IllegalMove, Lifecycle
from models.message import MessageStatus

ACTORS = {"person", "company", "provider", "platform", "staff", "system"}

LEAVING_AN_END = {
    "bill": {
        ("paid_elsewhere", "post"): "the company's answer to our posting comes after its bill list",
        ("void", "post"): "the same, when the list no longer has the bill",
        ("paid_elsewhere", "correct_to_open"): "the company corrects itself",
        ("void", "correct_to_open"): "the company corrects itself",
    },
    "payment": {
        ("closed", "money_received"): "money that comes late is received and goes back",
        ("failed", "money_received"): "the same",
        ("succeeded", "money_returned"): "the company did not take it, and it went back in full",
    },
    "posting": {},
    "reconciliation_item": {("resolved", "correct_to_open"): "what was said about it was wrong"},
    "reconciliation_run": {},
    "refund": {},
    "message": {
        ("unknown", "receipt_delivered"): "the receipt came after its day",
        ("unknown", "receipt_failed"): "the receipt came after its day",
    },
    "application": {},
    "service_order": {},
    "order_telling": {},
    "platform_push": {("dismissed", "arrive"): "it was dismissed because it had never come, and comes after all"},
    "platform_report": {},
    "order_request": {},
    "survey": {},
    "account_share": {},
    "mandate": {},
    "material": {},
    "tolerance": {},
    "credit_record": {},
    "permit": {},
    "supervision": {},
}
"""Lifecycle → (terminal state, event) → why somebody leaves it after all."""

ENDS = {
    "bill": {"posted", "paid_elsewhere", "void"},
    "payment": {"closed", "failed", "succeeded", "refunded"},
    "posting": {"posted", "refused"},
    "reconciliation_item": {"explained", "resolved"},
    "reconciliation_run": {"matched"},
    "refund": {"succeeded", "closed"},
    "message": {"delivered", "failed", "skipped", "unknown"},
    "application": {"withdrawn"},
    "service_order": {"archived", "refused", "failed", "withdrawn", "reassigned"},
    "order_telling": {"told", "refused", "at_desk"},
    "platform_push": {"filed", "dismissed"},
    "platform_report": {"told", "refused"},
    "order_request": {"approved", "refused", "lapsed"},
    "survey": {"surveyed", "cancelled"},
    "account_share": {"ended", "lapsed"},
    "mandate": {"revoked", "expired", "lapsed"},
    "material": {"removed"},
    "tolerance": {"fulfilled", "late", "released"},
    "credit_record": {"revoked", "repaired"},
    "permit": {"granted", "refused", "dropped"},
    "supervision": {"closed"},
}

each = pytest.mark.parametrize("law", LIFECYCLES.values(), ids=list(LIFECYCLES))


def test_all_lifecycles_are_judged_here() -> None:
    assert set(LIFECYCLES) == set(ENDS) == set(LEAVING_AN_END)


@each
def test_every_state_stands_in_the_table_and_nothing_else_does(law: Lifecycle) -> None:
    named = {law.initial} | {edge.state for edge in law.edges} | {edge.next_state for edge in law.edges}
    assert named == set(law.states)


@each
def test_every_state_can_be_reached(law: Lifecycle) -> None:
    reached, fresh = set(), {law.initial}
    while fresh:
        reached |= fresh
        fresh = {edge.next_state for edge in law.edges if edge.state in reached} - reached
    assert reached == set(law.states)


@each
def test_an_end_can_be_reached_from_everywhere(law: Lifecycle) -> None:
    ending = set(law.terminal)
    while grown := {edge.state for edge in law.edges if edge.next_state in ending} - ending:
        ending |= grown
    assert ending == set(law.states)


@each
def test_the_terminal_states_are_those_we_name(law: Lifecycle) -> None:
    assert law.terminal == ENDS[law.subject]
    assert {edge.state for edge in law.edges} | law.terminal == set(law.states), (
        "nobody is stuck in a state that is no end"
    )


@each
def test_a_terminal_state_is_left_only_by_a_named_correction_or_a_late_fact(law: Lifecycle) -> None:
    leaving = {(str(edge.state), edge.event) for edge in law.edges if edge.state in law.terminal}
    assert leaving == set(LEAVING_AN_END[law.subject])


@each
def test_every_edge_names_actors_we_know(law: Lifecycle) -> None:
    assert all(edge.who and set(edge.who) <= ACTORS for edge in law.edges)


@each
def test_nothing_stays_where_it_is(law: Lifecycle) -> None:
    assert [edge for edge in law.edges if edge.state == edge.next_state] == []


def test_two_edges_for_one_state_and_event_are_no_law() -> None:
    edges = (Edge("pending", "send", "sending", ("system",)), Edge("pending", "send", "failed", ("system",)))
    with pytest.raises(ValueError, match="two edges"):
        Lifecycle("nothing", MessageStatus, initial="pending", terminal=(), edges=edges)
    assert "nothing" not in LIFECYCLES


@given(
    law=st.sampled_from(list(LIFECYCLES.values())),
    walk=st.lists(st.tuples(st.integers(0, 30), st.sampled_from(sorted(ACTORS))), max_size=30),
)
def test_a_walk_takes_exactly_the_edges_of_the_table(law: Lifecycle, walk: list[tuple[int, str]]) -> None:
    events = sorted({edge.event for edge in law.edges} | {"teleport"})
    state = law.initial
    for number, kind in walk:
        event = events[number % len(events)]
        wanted = [edge for edge in law.edges if (edge.state, edge.event) == (state, event)]
        assert law.allows(state, event) == bool(wanted)
        if wanted and kind in wanted[0].who:
            assert [law.edge(state, event, Actor(kind))] == wanted
            state = wanted[0].next_state
        else:
            with pytest.raises(IllegalMove) as refused:
                law.edge(state, event, Actor(kind))
            assert refused.value.data == {"subject": law.subject, "state": state, "event": event}
    assert state in law.states
