"""Materials over HTTP: handed in once, sealed, shown to their owner alone, for minutes, and never as a page of ours."""

import asyncio
from datetime import timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from core.database import fetch, fetch_one
from domain.materials.materials import Materials
from models.material import Material
from tests.harness.edge import Edge
from tests.harness.papers import document, huge_png, photo


def _kept(edge: Edge, material_id: str) -> Path:
    folder = edge.spine.services.settings.materials.folder
    assert folder is not None
    plain = material_id.replace("-", "")
    return Path(folder) / plain[-2:] / plain


async def test_the_same_paper_twice_is_one_for_its_owner_and_another_for_somebody_else(edge: Edge) -> None:
    mine, other = await edge.person(3), await edge.person(3)
    sent = photo(50, 50)
    first, again, foreign = [(await edge.upload(by, sent)).json() for by in (mine, mine, other)]
    assert first == again
    assert first["material_id"] != foreign["material_id"]
    assert first["status"] == "unscanned", "nobody has looked, so nobody calls it clean"
    rows = await fetch(
        "select content_index from material where id = any($1)", [first["material_id"], foreign["material_id"]]
    )
    assert len({bytes(row["content_index"]) for row in rows}) == 2, "two people's indexes say nothing about each other"


async def test_two_uploads_at_once_leave_one_material_and_no_bytes_of_the_other(edge: Edge) -> None:
    person, sent = await edge.person(3), photo(60, 50)
    folder = _kept(edge, str(uuid4())).parents[1]
    before = {path.name for path in folder.glob("*/*")}
    answers = await asyncio.gather(*(edge.upload(person, sent) for _ in range(3)))
    assert len({answer.json()["material_id"] for answer in answers}) == 1
    material_id = UUID(answers[0].json()["material_id"])
    assert {path.name for path in folder.glob("*/*")} - before == {material_id.hex}


async def test_what_is_kept_is_sealed_and_its_link_is_for_one_reader_and_five_minutes(edge: Edge) -> None:
    person, other = await edge.person(3), await edge.person(3)
    material_id = await edge.material(person)
    sealed = _kept(edge, material_id).read_bytes()
    assert b"\xff\xd8\xff" not in sealed
    assert _kept(edge, material_id).stat().st_mode & 0o077 == 0

    opened = await edge.told("POST", f"/v1/materials/{material_id}/links", by=person)
    answer = await edge.call("GET", opened["url"], by=person)
    assert answer.content.startswith(b"\xff\xd8\xff")
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["content-disposition"].startswith('attachment; filename="id_card-')
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "no-store" in answer.headers["cache-control"]

    assert (await edge.call("GET", opened["url"], by=other)).status_code == 404
    own = await edge.material(person)
    assert (await edge.call("GET", opened["url"].replace(material_id, own), by=person)).status_code == 403
    assert (await edge.call("GET", opened["url"][:-2] + "zz", by=person)).status_code == 403
    materials: Materials = edge.spine.services.materials
    link = opened["url"].partition("link=")[2]
    with pytest.raises(Exception, match="material_link_refused"):
        materials.check_link(link, (await Material.get(id=material_id)).id, f"person:{uuid4()}", "own")
    await edge.spine.jobs.pass_time(timedelta(minutes=5))
    assert (await edge.call("GET", opened["url"], by=person)).status_code == 403


@pytest.mark.parametrize(
    ("content", "reason"),
    [(huge_png(10_000, 10_000), "too_many_pixels"), (b"MZ" + bytes(200), "type"), (b"", "empty")],
    ids=["100 megapixels", "a program", "nothing"],
)
async def test_what_is_no_paper_leaves_nothing(edge: Edge, content: bytes, reason: str) -> None:
    person = await edge.person(3)
    # Whatever the sender calls it.
    answer = await edge.upload(person, content, **{"Content-Type": "image/jpeg"})
    assert (answer.status_code, answer.json()["code"], answer.json()["data"]) == (
        422,
        "material_refused",
        {"reason": reason},
    )
    assert (await edge.told("GET", "/v1/materials", by=person))["materials"] == []


async def test_a_form_of_one_file_is_taken_whatever_name_it_gives(edge: Edge) -> None:
    person = await edge.person(3)
    url, query = "/v1/materials", {"paper": "property_proof"}
    for name in ("../../etc/passwd", "CON", "a\x00.jpg".replace("\x00", "%00"), "x" * 300):
        files = {"file": (name, document(pages=len(name) % 7 + 1), "text/html")}
        answer = await edge.http.post(url, params=query, files=files, headers=person.headers)
        assert (answer.status_code, answer.json()["media_type"]) == (201, "application/pdf"), name
    for files in ({"picture": photo()}, {"file": photo(), "more": b"x"}):
        answer = await edge.http.post(url, params=query, files=files, headers=person.headers)
        assert (answer.status_code, answer.json()["code"]) == (400, "request_malformed")
    assert (await edge.upload(person, paper="../passwd")).status_code == 400
    assert (await edge.upload(person, paper="diary")).json()["code"] == "paper_unknown"


async def test_one_byte_too_many_is_refused_while_it_comes(edge: Edge) -> None:
    person = await edge.person(3)
    most = edge.spine.services.materials.rule().most_bytes

    async def pieces():
        for _ in range(most // 65536 + 2):
            yield bytes(65536)

    assert (await edge.upload(person, bytes(most + 1))).status_code == 413
    answer = await edge.http.post(
        "/v1/materials", params={"paper": "id_card"}, content=pieces(), headers=person.headers
    )
    assert answer.status_code == 413


async def test_a_removed_material_is_gone_for_everybody_and_its_bytes_too(edge: Edge) -> None:
    person = await edge.person(3)
    material_id = await edge.material(person)
    assert (await edge.call("DELETE", f"/v1/materials/{material_id}", by=person)).status_code == 204
    assert (await edge.call("POST", f"/v1/materials/{material_id}/links", by=person)).status_code == 404
    await edge.spine.jobs.run()
    assert not _kept(edge, material_id).exists()
    row = await fetch_one("select erased_at from material where id = $1", material_id)
    assert row is not None
    assert row["erased_at"] is not None
