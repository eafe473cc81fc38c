"""The joint state is a fold: it forgets no order, prefers none, and says nothing the orders do not say."""

from hypothesis import given
from hypothesis import strategies as st

from domain.applications.state import Stage, Standing, joint
from models.service_order import APPLICANTS_TURN, OVER, OrderStatus

_COMPANIES = ("water", "power", "gas", "telecom_ct", "telecom_cm", "telecom_cu")
_ORDERS = st.dictionaries(st.sampled_from(_COMPANIES), st.sampled_from(OrderStatus), min_size=1)


@given(_ORDERS, st.randoms())
def test_it_is_the_same_in_any_order_and_every_order_stands_in_one_place(
    orders: dict[str, OrderStatus], random: st.DataObject
) -> None:
    rows = [Standing(company, status) for company, status in orders.items()]
    found = joint(rows)
    random.shuffle(rows)  # type: ignore[attr-defined]
    assert joint(rows) == found
    counted = {company for company, status in orders.items() if status != OrderStatus.REASSIGNED}
    assert sorted((*found.connected, *found.running, *found.ended)) == sorted(counted)
    assert set(found.your_turn) <= set(found.running)


@given(_ORDERS)
def test_it_says_what_the_orders_say(orders: dict[str, OrderStatus]) -> None:
    found = joint(Standing(company, status) for company, status in orders.items())
    counted = [status for status in orders.values() if status != OrderStatus.REASSIGNED]
    connected = [status for status in counted if status in (OrderStatus.CONNECTED, OrderStatus.ARCHIVED)]
    assert found.finished == all(status in OVER for status in counted)
    assert (found.stage == Stage.YOUR_TURN) == any(status in APPLICANTS_TURN for status in counted)
    if found.stage == Stage.CONNECTED:
        assert len(connected) == len(counted) > 0
    if connected and found.stage != Stage.YOUR_TURN:
        assert found.stage in (Stage.CONNECTED, Stage.PARTLY_CONNECTED), "what is connected is always visible"
    if found.stage in (Stage.REFUSED, Stage.WITHDRAWN):
        assert found.finished
        assert not connected


@given(_ORDERS, st.sampled_from(_COMPANIES))
def test_connecting_one_more_never_takes_a_connection_away(orders: dict[str, OrderStatus], company: str) -> None:
    before = joint(Standing(one, status) for one, status in orders.items())
    after = joint(Standing(one, status) for one, status in {**orders, company: OrderStatus.CONNECTED}.items())
    assert {*before.connected, company} == set(after.connected)
