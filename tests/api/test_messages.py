"""The in-app inbox as its owner reads it."""

from tests.harness.edge import Edge


async def test_an_empty_inbox_is_a_page_without_messages(edge: Edge) -> None:
    told = await edge.told("GET", "/v1/messages", by=await edge.person())
    assert told == {"messages": [], "unread": 0, "next_after": None}


async def test_pages_run_from_the_newest_to_the_oldest_and_each_counts_all_that_is_unread(edge: Edge) -> None:
    person = await edge.person()
    newest = [await edge.message(person) for _ in range(3)][-1]
    first = await edge.told("GET", "/v1/messages?limit=2", by=person)
    assert [len(first["messages"]), first["unread"]] == [2, 3]
    assert first["messages"][0]["message_id"] == newest
    await edge.call("POST", f"/v1/messages/{newest}/read", by=person)
    rest = await edge.told("GET", f"/v1/messages?limit=2&after={first['next_after']}", by=person)
    assert [len(rest["messages"]), rest["unread"], rest["next_after"]] == [1, 2, None]
    ids = [one["message_id"] for one in first["messages"] + rest["messages"]]
    assert ids == sorted(ids, reverse=True)
    assert all(one["title"] and one["body"] for one in rest["messages"])
    assert (await edge.told("GET", "/v1/messages", by=person))["messages"][0]["read_at"] is not None
