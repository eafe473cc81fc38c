"""Forms as the city pack has them. Public: whoever fills one in, wherever, is judged by the same file."""

from datetime import date
from typing import Annotated, Any

from msgspec import Meta

from api.calls import Answer, Call
from api.texts import Input, Output
from cities.errors import NotInForce
from cities.forms import Form
from core import clock
from core.errors import NotFound


class FormQuery(Input, frozen=True):
    """A version under which something was filed; without it the one of today."""

    version: Annotated[int, Meta(ge=1, le=999)] | None = None


class FormView(Output, frozen=True):
    """A version of a form. `schema` is JSON Schema (draft 2020-12); what it cannot say stands beside it, as in the pack.

    `impossible`: answers that fit ``when`` are refused at ``at``. `not_greater`: ``lesser`` is at most ``greater``. `among`: what stands
    at ``value`` is one of the list at ``among``.
    """

    name: str
    version: int
    title: str
    effective_from: date
    source: str
    schema: dict[str, Any]
    impossible: list[dict[str, Any]]
    not_greater: list[dict[str, Any]]
    among: list[dict[str, Any]]


async def show_application(call: Call) -> Answer:
    query: FormQuery = call.query
    city = call.services.city
    try:
        version = query.version
        form = city.form("application", clock.today()) if version is None else city.form_version("application", version)
    except NotInForce:
        raise NotFound("form") from None
    tag = f'"{form.tag}"'
    # A version that is asked for by its number never changes; which one is today's does.
    caching = "public, max-age=86400" if query.version is not None else "public, max-age=300"
    headers = {"ETag": tag, "Cache-Control": caching}
    if call.headers.get("if-none-match") == tag:
        return Answer(None, 304, headers=headers)
    return Answer(_view(form), headers=headers)


def _view(form: Form) -> FormView:
    file = form.file
    return FormView(
        file.name, file.version, file.title, file.effective_from, file.source, file.schema_,
        [{"code": rule.code, "when": rule.when, "at": rule.at, "sentence": rule.sentence} for rule in file.impossible],
        [{"code": rule.code, "lesser": rule.lesser, "greater": rule.greater, "sentence": rule.sentence} for rule in file.not_greater],
        [{"code": rule.code, "value": rule.value, "among": rule.among, "sentence": rule.sentence} for rule in file.among],
    )  # fmt: skip
