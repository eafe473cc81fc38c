"""The form is one file: what is served is what judges, and it is not sent twice."""

from tests.harness.edge import Edge


async def test_the_form_is_served_to_everybody_with_its_tag(edge: Edge) -> None:
    form = edge.spine.services.city.form_version("application", 1)
    answer = await edge.http.get("/v1/forms/application")
    served = answer.json()
    assert (answer.status_code, served["version"], served["schema"]) == (200, 1, form.schema)
    assert [rule["code"] for rule in served["impossible"]] == [rule.code for rule in form.file.impossible]
    assert answer.headers["cache-control"] == "public, max-age=300"

    again = await edge.http.get("/v1/forms/application", headers={"If-None-Match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


async def test_a_version_that_was_never_there_is_not_found(edge: Edge) -> None:
    assert (await edge.http.get("/v1/forms/application", params={"version": 9})).status_code == 404
    assert (await edge.http.get("/v1/forms/application", params={"version": 1})).json()["version"] == 1
