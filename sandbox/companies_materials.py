"""The papers of a company's orders (docs/company-gateway.md §11.5): listed, then each fetched and kept as the company's own file.

A company that works by itself fetches them once it has an order, and again when it is told of a new one.
"""

import hashlib
import json
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final

import httpx

from sandbox.companies_book import Book
from sandbox.http_signatures import SignatureError

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS company_material (
    company TEXT NOT NULL, order_id TEXT NOT NULL, material_id TEXT NOT NULL, requirement TEXT NOT NULL, content BLOB NOT NULL,
    fetched_at TEXT NOT NULL, PRIMARY KEY (company, order_id, material_id, requirement)
);
"""
AGAIN_S: Final = 5.0
Fetch = Callable[[str], Awaitable[tuple[int, bytes, str]]]
"""A signed GET: status, body, content type."""

log = logging.getLogger("sandbox")


def due(book: Book) -> list[str]:
    """Orders whose papers are to be fetched now; each is begun by being named here."""
    query = """
    SELECT o.order_id, (SELECT count(*) FROM company_order_notice n WHERE n.company = o.company AND n.order_id = o.order_id
      AND json_extract(n.content, '$.kind') = 'material_added') AS told
    FROM company_order o WHERE o.company = ? AND o.status = 'received'
    """
    found: list[str] = []
    for row in book.state.all(query, (book.company.code,)):
        name, version = f"materials:{row['order_id']}", str(row["told"])
        seen, _, at = book.setting(name, "").partition("@")
        if seen == version or (at and float(at) + AGAIN_S > book.clock.timestamp()):
            continue
        book.set(name, f"begun@{book.clock.timestamp()}")
        found.append(row["order_id"])
    return found


async def collect(book: Book, order_id: str, fetch: Fetch) -> dict[str, Any]:
    """Fetch all papers of an order; what there is, and what did not come."""
    told = len([1 for notice in _notices(book, order_id) if notice["kind"] == "material_added"])
    try:
        status, body, _ = await fetch(f"/company/v1/service-orders/{order_id}/materials")
        if status == 404:  # over, or withdrawn: nothing is there any more
            book.set(f"materials:{order_id}", f"{told}@")
        if status != 200:
            return {"status": status, "papers": [], "not_handed_in": []}
        listed = json.loads(body)
        papers = [await _one(book, order_id, paper, fetch) for paper in listed["papers"]]
    except (httpx.HTTPError, SignatureError, ValueError) as error:
        log.warning("the papers of an order did not come: %s", type(error).__name__)
        return {"status": 0, "papers": [], "not_handed_in": []}
    if all(paper["status"] in (200, None) for paper in papers):
        book.set(f"materials:{order_id}", f"{told}@")
    return {"status": 200, "papers": papers, "not_handed_in": listed["not_handed_in"]}


async def _one(book: Book, order_id: str, paper: dict[str, Any], fetch: Fetch) -> dict[str, Any]:
    found = {"requirement": paper["requirement"], "material_id": paper["material_id"]}
    if paper["url"] is None:
        return found | {"status": None}
    status, content, content_type = await fetch(paper["url"])
    if status == 200:
        values = (book.company.code, order_id, paper["material_id"], paper["requirement"], content, book.clock.iso())
        book.state.run("INSERT OR REPLACE INTO company_material VALUES (?, ?, ?, ?, ?, ?)", values)
    digest = hashlib.sha256(content).hexdigest()
    return found | {"status": status, "bytes": len(content), "sha256": digest, "content_type": content_type}


def kept(book: Book, order_id: str) -> list[dict[str, Any]]:
    """The papers the company has of an order."""
    query = "SELECT * FROM company_material WHERE company = ? AND order_id = ? ORDER BY requirement, material_id"
    return [
        {"requirement": row["requirement"], "material_id": row["material_id"], "bytes": len(row["content"])}
        for row in book.state.all(query, (book.company.code, order_id))
    ]


def _notices(book: Book, order_id: str) -> list[dict[str, Any]]:
    query = "SELECT content FROM company_order_notice WHERE company = ? AND order_id = ?"
    return [json.loads(row["content"]) for row in book.state.all(query, (book.company.code, order_id))]
