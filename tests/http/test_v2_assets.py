"""Assets of the Comfy API v2: upload, dedup, by hash, look, ranges, delete, and what a graph makes of them."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from aiohttp import FormData
from blake3 import blake3

from expeditor.intake.asset_use import HOLD_GRACE_S, AssetUse
from expeditor.intake.assets import STEP
from expeditor.jobs.asset_ids import output_asset_id
from expeditor.jobs.errors import MissingAsset
from expeditor.jobs.model import JobStatus, Principal
from tests.conformance.harness import IMAGE, claim, done, ending, enqueue
from tests.http.v2_edge import told

ASSETS = "/api/v2/assets"
BYTES = bytes(range(256)) * 8
NOWHERE = "00000000-0000-4000-8000-000000000000"


def hash_of(data: bytes) -> str:
    return "blake3:" + blake3(data).hexdigest()


def form(data: bytes = BYTES, name: str = "photo.png", **fields) -> FormData:
    made = FormData()
    for field, value in {"content_type": "image/png", "file_path": name, **fields}.items():
        made.add_field(field, value)
    made.add_field("file", data, filename=name, content_type="image/png")
    return made


async def upload(v2, data: bytes = BYTES, name: str = "photo.png", status: int = 201, headers=None, **fields):
    answer = await v2.post(ASSETS, data=form(data, name, **fields), headers=headers)
    assert answer.status == status, await answer.text()
    return await answer.json()


async def test_an_upload_is_a_file_of_the_input_folder_and_a_record(v2, v2_edge):
    made = await upload(v2, name="sub/f\u00fcr dich.png", expected_hash=hash_of(BYTES), tags="input")
    assert v2_edge.shelf.inputs() == {"sub/f\u00fcr dich.png": BYTES}
    assert (made["size_bytes"], made["hash"], made["created_new"]) == (len(BYTES), hash_of(BYTES), True)
    assert (made["content_type"], made["file_path"], made["expires_at"]) == ("image/png", "sub/f\u00fcr dich.png", None)
    assert made["url"] == f"http://127.0.0.1:{v2.port}{ASSETS}/{made['id']}/content"
    assert made["created_at"].endswith("Z")
    found = await (await v2.get(f"{ASSETS}/{made['id']}")).json()
    assert found == {key: value for key, value in made.items() if key != "created_new"}


async def test_the_same_upload_again_is_the_same_asset(v2, v2_edge):
    first = await upload(v2)
    again = await upload(v2, status=200)
    assert (again["id"], again["created_new"]) == (first["id"], False)
    assert v2_edge.shelf.inputs() == {"photo.png": BYTES}


async def test_the_same_bytes_under_another_name_are_another_asset(v2, v2_edge):
    first = await upload(v2)
    other = await upload(v2, name="b.png", status=200)
    assert other["id"] != first["id"]
    assert v2_edge.shelf.inputs() == {"photo.png": BYTES, "b.png": BYTES}


async def test_a_name_that_is_taken_is_left_alone(v2, v2_edge):
    (v2_edge.shelf.folder / "input" / "photo.png").write_bytes(b"by hand")
    made = await upload(v2)
    stored = v2_edge.shelf.inputs()
    assert stored.pop("photo.png") == b"by hand"
    assert list(stored) == [f"photo-{hash_of(BYTES)[7:23]}.png"]
    assert made["file_path"] == "photo.png"
    assert await (await v2.get(f"{ASSETS}/{made['id']}/content")).read() == BYTES


async def test_a_file_put_there_by_hand_serves_and_is_never_deleted(v2, v2_edge):
    (v2_edge.shelf.folder / "input" / "photo.png").write_bytes(BYTES)
    made = await upload(v2)
    assert v2_edge.shelf.inputs() == {"photo.png": BYTES}
    assert (await v2.delete(f"{ASSETS}/{made['id']}")).status == 204
    assert v2_edge.shelf.inputs() == {"photo.png": BYTES}


async def test_bytes_that_are_known_need_not_be_sent(v2, v2_edge):
    digest = hash_of(BYTES)
    assert (await v2.head(f"{ASSETS}/by-hash/{digest}")).status == 404
    assert await told(await v2.post(f"{ASSETS}/from-hash", json={"hash": digest})) == (404, "blob_not_found")
    first = await upload(v2)
    assert (await v2.head(f"{ASSETS}/by-hash/{digest}")).status == 200
    same = await v2.post(f"{ASSETS}/from-hash", json={"hash": digest, "file_path": "photo.png"})
    assert (same.status, (await same.json())["id"]) == (200, first["id"])
    other = await v2.post(
        f"{ASSETS}/from-hash", json={"hash": digest, "file_path": "c.png", "tags": [], "expires_in": 60}
    )
    made = await other.json()
    assert (other.status, made["created_new"], made["content_type"]) == (201, False, "image/png")
    assert made["expires_at"] is not None
    assert v2_edge.shelf.inputs() == {"photo.png": BYTES, "c.png": BYTES}


async def test_what_others_uploaded_is_not_known_to_exist(v2):
    digest = hash_of(BYTES)
    mine = await upload(v2, headers={"X-User": "ada"})
    assert (await v2.head(f"{ASSETS}/by-hash/{digest}", headers={"X-User": "ada"})).status == 200
    for other in ({"X-User": "bob"}, {}):
        assert (await v2.head(f"{ASSETS}/by-hash/{digest}", headers=other)).status == 404
        asked = await v2.post(f"{ASSETS}/from-hash", json={"hash": digest}, headers=other)
        assert await told(asked) == (404, "blob_not_found")
        assert await told(await v2.delete(f"{ASSETS}/{mine['id']}", headers=other)) == (404, "not_found")
    assert (await v2.delete(f"{ASSETS}/{mine['id']}", headers={"X-User": "ada"})).status == 204


async def test_bytes_that_are_gone_or_changed_are_not_known(v2, v2_edge):
    made = await upload(v2)
    path = v2_edge.shelf.folder / "input" / "photo.png"
    path.write_bytes(BYTES[:-1] + b"x")
    assert (await v2.head(f"{ASSETS}/by-hash/{hash_of(BYTES)}")).status == 404
    assert await told(await v2.get(f"{ASSETS}/{made['id']}/content")) == (404, "not_found")
    path.write_bytes(BYTES)
    assert (await v2.get(f"{ASSETS}/{made['id']}")).status == 200, "the same bytes, written anew"
    path.unlink()
    assert await told(await v2.get(f"{ASSETS}/{made['id']}")) == (404, "not_found")
    assert (await upload(v2))["created_new"], "and can be uploaded again"


@pytest.mark.parametrize(
    ("wanted", "status", "got"),
    [
        (None, 200, BYTES),
        ("bytes=0-9", 206, BYTES[:10]),
        ("bytes=5-", 206, BYTES[5:]),
        ("bytes=-3", 206, BYTES[-3:]),
        ("bytes=0-999999", 206, BYTES),
    ],
)
async def test_ranges(v2, wanted, status, got):
    made = await upload(v2)
    answer = await v2.get(f"{ASSETS}/{made['id']}/content", headers={"Range": wanted} if wanted else None)
    assert (answer.status, await answer.read()) == (status, got)
    assert answer.headers["Content-Type"] == "image/png"
    assert answer.headers["Accept-Ranges"] == "bytes"


@pytest.mark.parametrize(
    "wanted", ["bytes=5000-", "bytes=9-1", "bytes=x", "bytes=0-1,3-4", "rows=1-2", "bytes=-", "\u00fc"]
)
async def test_ranges_that_there_are_not(v2, wanted):
    made = await upload(v2)
    answer = await v2.get(f"{ASSETS}/{made['id']}/content", headers={"Range": wanted})
    assert await told(answer) == (416, "range_not_satisfiable")
    assert answer.headers["Content-Range"] == f"bytes */{len(BYTES)}"


async def test_conditions(v2):
    url = f"{ASSETS}/{(await upload(v2))['id']}/content"
    tag = (await v2.get(url)).headers["ETag"]
    assert (await v2.get(url, headers={"If-None-Match": tag})).status == 304
    ranged = {"Range": "bytes=0-1"}
    assert (await v2.get(url, headers={**ranged, "If-Range": tag})).status == 206
    whole = await v2.get(url, headers={**ranged, "If-Range": '"another"'})
    assert (whole.status, await whole.read()) == (200, BYTES)
    assert (await v2.head(url)).headers["Content-Length"] == str(len(BYTES))


async def test_no_file_beside_it_is_sent_in_its_place(v2):
    made = await upload(v2)
    await upload(v2, b"not gzip at all", "photo.png.gz")
    answer = await v2.get(f"{ASSETS}/{made['id']}/content", headers={"Accept-Encoding": "gzip, br"})
    assert await answer.read() == BYTES


async def test_a_page_that_was_uploaded_does_not_run_here(v2):
    made = await upload(v2, b"<script>1</script>", "x.html", content_type="text/html")
    answer = await v2.get(f"{ASSETS}/{made['id']}/content")
    assert answer.headers["Content-Disposition"].startswith("attachment")
    assert (answer.headers["X-Content-Type-Options"], answer.headers["Content-Security-Policy"]) == (
        "nosniff",
        "sandbox",
    )


async def test_a_deleted_asset_is_gone_and_its_bytes_with_the_last_one(v2, v2_edge):
    first, other = await upload(v2), await upload(v2, status=200, content_type="image/x-other")
    assert first["id"] != other["id"]
    assert (await v2.delete(f"{ASSETS}/{first['id']}")).status == 204
    assert await told(await v2.delete(f"{ASSETS}/{first['id']}")) == (404, "not_found")
    assert await told(await v2.get(f"{ASSETS}/{first['id']}")) == (404, "not_found")
    assert v2_edge.shelf.inputs() == {"photo.png": BYTES}
    assert (await v2.delete(f"{ASSETS}/{other['id']}")).status == 204
    assert not v2_edge.shelf.inputs()


async def test_a_key_counts_once_if_something_came_of_it(v2, v2_edge):
    key = {"Idempotency-Key": "one"}
    wrong = await v2.post(ASSETS, data=form(expected_hash=hash_of(b"other")), headers=key)
    assert await told(wrong) == (409, "hash_mismatch")
    await upload(v2, headers=key)
    assert await told(await v2.post(ASSETS, data=form(), headers=key)) == (422, "idempotency_key_reuse")
    await upload(v2, headers={**key, "X-User": "ada"})
    v2_edge.clock.now_s += 86_401
    await upload(v2, status=200, headers=key)


async def test_very_many_uploads_end_together(v2, v2_edge):
    for number in range(STEP + 5):
        await upload(v2, b"%d" % number, f"{number}.png", expires_in="60")
    v2_edge.clock.now_s += 61
    await v2_edge.shelf.service.upkeep()
    assert not v2_edge.shelf.inputs()


async def test_uploads_end_when_they_said_so_or_were_not_used_for_long(v2, v2_edge):
    for name, fields in (("short.png", {"expires_in": "60"}), ("kept.png", {"expires_in": "604800"}), ("old.png", {})):
        await upload(v2, name.encode(), name, **fields)
    await v2_edge.shelf.service.upkeep()
    assert len(v2_edge.shelf.inputs()) == 3
    v2_edge.clock.now_s += 61
    await v2_edge.shelf.service.upkeep()
    assert set(v2_edge.shelf.inputs()) == {"kept.png", "old.png"}
    v2_edge.clock.now_s += 1_000
    await v2_edge.shelf.service.upkeep()
    assert set(v2_edge.shelf.inputs()) == {"kept.png"}


def ended(v2_edge, job_id: str, *outputs, principal: str = "anonymous", status=JobStatus.SUCCEEDED) -> None:
    enqueue(v2_edge.store, job_id, principal=principal)
    done(v2_edge.store.finish(job_id, claim(v2_edge.store).attempt, ending(status, outputs=outputs)))


def output_file(v2_edge, data: bytes = BYTES) -> None:
    path = v2_edge.shelf.folder / IMAGE.folder / IMAGE.subfolder / IMAGE.name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


OUTPUT = replace(IMAGE, size_bytes=len(BYTES))


async def test_an_output_of_a_job_is_an_asset(v2, v2_edge):
    ended(v2_edge, "job-1", OUTPUT)
    output_file(v2_edge)
    asset_id = output_asset_id("job-1", OUTPUT)
    for _ in range(2):
        found = await (await v2.get(f"{ASSETS}/{asset_id}")).json()
        assert (found["hash"], found["job_id"], found["size_bytes"]) == (hash_of(BYTES), "job-1", len(BYTES))
        assert found["file_path"] is None
    part = await v2.get(f"{ASSETS}/{asset_id}/content", headers={"Range": "bytes=1-2"})
    assert (part.status, await part.read()) == (206, BYTES[1:3])
    assert (await v2.delete(f"{ASSETS}/{asset_id}")).status == 204
    assert await told(await v2.get(f"{ASSETS}/{asset_id}/content")) == (404, "not_found")
    assert await told(await v2.delete(f"{ASSETS}/{asset_id}")) == (404, "not_found")
    assert (v2_edge.shelf.folder / "output" / "sub" / IMAGE.name).exists(), "the asset is deleted, not the file"


async def test_an_output_whose_file_is_gone_says_so(v2, v2_edge):
    ended(v2_edge, "job-1", OUTPUT)
    answer = await v2.get(f"{ASSETS}/{output_asset_id('job-1', OUTPUT)}/content")
    assert await told(answer) == (404, "not_found")
    assert (await answer.json())["error"]["details"] == {"job_id": "job-1", "reason": "output_unavailable"}


@pytest.mark.parametrize("asset_id", [NOWHERE, "x", "%00", "%ff", "..%2f..%2fetc", NOWHERE.upper(), "a" * 5000])
@pytest.mark.parametrize("end", ["", "/content"])
async def test_assets_that_there_are_not(v2, asset_id, end):
    assert await told(await v2.get(f"{ASSETS}/{asset_id}{end}")) == (404, "not_found")


def reference(asset_id: object) -> dict:
    return {"__type": "core/ASSET", "info": {"id": asset_id, "hash": "blake3:no", "file_path": "x"}}


async def test_references_become_names_anywhere_in_the_graph(v2, v2_edge):
    ended(v2_edge, "job-1", OUTPUT)
    output_file(v2_edge)
    made = await upload(v2, name="in/photo.png")
    output_id = output_asset_id("job-1", OUTPUT)
    graph = {
        "1": {"class_type": "A", "inputs": {"image": reference(made["id"]), "n": 3}},
        "2": {"class_type": "B", "inputs": {"deep": {"list": [reference(output_id), ["1", 0]]}}},
    }
    named, used = await v2_edge.shelf.references.resolve(graph, Principal("anonymous"))
    assert named["1"]["inputs"] == {"image": "in/photo.png", "n": 3}
    assert named["2"]["inputs"] == {"deep": {"list": ["sub/a_00001_.png [output]", ["1", 0]]}}
    assert set(used) == {made["id"], output_id}
    assert graph["1"]["inputs"]["image"] == reference(made["id"]), "what came in is not changed"


async def test_a_plain_name_means_its_senders_own_upload(v2, v2_edge):
    (v2_edge.shelf.folder / "input" / "photo.png").write_bytes(b"by hand")
    mine, free = await upload(v2), await upload(v2, b"free", "free.png")
    graph = {"1": {"class_type": "A", "inputs": {"image": "photo.png", "mask": "free.png", "text": "hello"}}}
    named, used = await v2_edge.shelf.references.resolve(graph, Principal("anonymous"))
    stored = f"photo-{hash_of(BYTES)[7:23]}.png"
    assert named["1"]["inputs"] == {"image": stored, "mask": "free.png", "text": "hello"}
    assert set(used) == {mine["id"], free["id"]}
    assert await v2_edge.shelf.references.resolve(graph, Principal("eve")) == (graph, ())


@pytest.mark.parametrize("broken", [NOWHERE, "x", None, 7, [], {"id": 1}, "\ud800"])
async def test_references_that_lead_nowhere(v2, v2_edge, broken):
    graph = {"1": {"class_type": "A", "inputs": {"image": reference(broken)}}}
    answer = await v2.post("/api/v2/jobs", json={"workflow": graph})
    assert await told(answer) == (422, "missing_asset")
    (fault,) = (await answer.json())["error"]["details"]["errors"]
    assert fault["pointer"] == "/workflow/1/inputs/image"


async def test_an_asset_that_an_unfinished_job_needs_stays(v2, v2_edge):
    made = await upload(v2)
    graph = {"1": {"class_type": "A", "inputs": {"image": reference(made["id"])}}}
    job = await (await v2.post("/api/v2/jobs", json={"workflow": graph})).json()
    assert v2_edge.door.entries[-1].prompt["1"]["inputs"] == {"image": "photo.png"}
    assert await told(await v2.delete(f"{ASSETS}/{made['id']}")) == (409, "asset_in_use")
    v2_edge.clock.now_s += 10_000
    await v2_edge.shelf.service.upkeep()
    assert v2_edge.shelf.inputs(), "nor does it come to its end"
    done(v2_edge.store.finish(job["id"], claim(v2_edge.store).attempt, ending(JobStatus.FAILED)))
    done(v2_edge.store.redrive(job["id"]))
    assert await told(await v2.delete(f"{ASSETS}/{made['id']}")) == (409, "asset_in_use"), "it runs again"
    done(v2_edge.store.cancel(job["id"]))
    assert (await v2.delete(f"{ASSETS}/{made['id']}")).status == 204
    assert not v2_edge.shelf.inputs()


async def test_an_asset_that_is_deleted_while_its_job_is_judged_is_missed(v2, v2_edge):
    ended(v2_edge, "job-1", OUTPUT)
    output_file(v2_edge)
    for asset_id in ((await upload(v2))["id"], output_asset_id("job-1", OUTPUT)):
        graph = {"1": {"class_type": "A", "inputs": {"image": reference(asset_id)}}}
        _, used = await v2_edge.shelf.references.resolve(graph, Principal("anonymous"))
        await v2_edge.shelf.references.hold("job-3", used)
        v2_edge.clock.now_s += HOLD_GRACE_S
        assert (await v2.delete(f"{ASSETS}/{asset_id}")).status == 204
        with pytest.raises(MissingAsset):
            await v2_edge.shelf.references.hold("job-4", used)


async def test_nobody_comes_to_need_what_is_being_deleted(v2_edge):
    may, told = asyncio.Event(), []
    use = AssetUse(v2_edge.shelf.store, v2_edge.store, v2_edge.awaiter, v2_edge.clock)

    async def delete() -> None:
        await may.wait()
        told.append("deleted")

    async def hold() -> None:
        await use.hold("job-1", [NOWHERE])
        told.append("held")

    deleting = asyncio.ensure_future(use.unless_needed(NOWHERE, delete))
    holding = asyncio.ensure_future(hold())
    await asyncio.wait((holding,), timeout=0.3)  # as far as it gets
    may.set()
    assert await deleting
    await holding
    assert told == ["deleted", "held"]
    assert not await use.unless_needed(NOWHERE, delete), "it is needed now"


async def test_what_is_noted_of_jobs_goes_with_them(v2, v2_edge):
    ended(v2_edge, "job-1", OUTPUT)
    output_file(v2_edge)
    await v2.get(f"{ASSETS}/{output_asset_id('job-1', OUTPUT)}")
    await v2_edge.shelf.service.forget_jobs()
    assert done(v2_edge.shelf.store.jobs_named("", 9)) == ("job-1",)
    done(v2_edge.store.prune(["job-1"]))
    await v2_edge.shelf.service.forget_jobs()
    assert not done(v2_edge.shelf.store.jobs_named("", 9))
