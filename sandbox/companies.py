"""The companies of the city: ``mount`` opens their port, ``mount_control`` lets a person or a test play their staff.

The protocol is ``docs/company-gateway.md``. The parts: :mod:`sandbox.companies_http` (the port),
:mod:`sandbox.companies_operations`, :mod:`sandbox.companies_postings` and :mod:`sandbox.companies_orders` (what they answer),
:mod:`sandbox.companies_crews` (how they work orders), :mod:`sandbox.companies_book` (what they know),
:mod:`sandbox.companies_events` (what they send).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from weakref import WeakKeyDictionary

from sanic import HTTPResponse, Sanic
from sanic import Request as HTTPRequest

from sandbox import companies_control, companies_files, companies_materials, companies_orders, spoiling
from sandbox.companies_book import SCHEMA, Book, Company
from sandbox.companies_events import Outbox
from sandbox.companies_http import Door
from sandbox.context import Context

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")


@dataclass(frozen=True, slots=True)
class _Companies:
    books: Mapping[str, Book]
    outbox: Outbox


# The two ports are two apps that share nothing but the context.
_companies: WeakKeyDictionary[Context, _Companies] = WeakKeyDictionary()


def mount(app: Sanic, context: Context) -> None:
    """Open the port of all companies of the configuration and load what they know at first start.

    Raises ``ValueError``, ``KeyError`` or :class:`~sandbox.companies_codes.Refusal` when the configuration is wrong.
    """
    companies = _of(context)
    door = Door(context, companies.books, companies.outbox.wake)

    # One route for everything: paths are matched as they were signed, not as a router decodes them.
    @app.route("/<path:path>", methods=METHODS, name="companies")
    async def handle(request: HTTPRequest, path: str) -> HTTPResponse:
        return await door.handle(request)


def mount_control(app: Sanic, context: Context) -> None:
    """Add ``/control/companies``."""
    companies = _of(context)
    companies_control.mount(app, context, companies.books, companies.outbox)


def _of(context: Context) -> _Companies:
    found = _companies.get(context)
    if found is not None:
        return found
    context.state.define(SCHEMA)
    context.state.define(spoiling.SCHEMA)
    context.state.define(companies_files.SCHEMA)
    context.state.define(companies_orders.SCHEMA)
    context.state.define(companies_materials.SCHEMA)
    configured = [Company.read(config) for config in context.config.get("companies", ())]
    books = {company.code: Book(company, context.state, context.clock) for company in configured}
    if len(books) != len(configured):
        raise ValueError("two companies have the same code")
    outbox = Outbox(context, books.values())
    for book in books.values():
        book.load()
        context.on_reset(book.load)
    context.on_start(outbox.start)
    context.on_reset(outbox.wake)
    _companies[context] = found = _Companies(books, outbox)
    return found
