"""Every operation's example, carried out: it answers what the contract documents."""

import pytest

from api.calls import Route
from api.routes import ROUTES
from tests.harness.edge import Edge
from tests.harness.operations import Operations


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
async def test_the_example_answers_its_documented_status(edge: Edge, route: Route) -> None:
    await edge.forget_limits()
    response = await Operations(edge).carry_out(route)
    assert response.status_code == route.status, response.text
    # The client of `edge` has held it against its schema already.
    assert (route.name, route.status) in edge.contract.seen
    assert response.headers.get("content-type", "").partition(";")[0] == (route.media_type if response.content else "")
