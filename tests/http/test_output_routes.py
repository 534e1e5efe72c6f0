"""`GET /expeditor/jobs/{id}/outputs/{n}`: the bytes of what a job made, as a client of HTTP expects them."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from expeditor.jobs.errors import Gone
from expeditor.jobs.model import Output
from expeditor.routes.asking import HERE as INSTANCE
from expeditor.routes.asking import ONE_FOLDER
from expeditor.routes.outputs import disposition
from tests.conformance.harness import claim, done, ending, enqueue
from tests.http.edge import refusal

BYTES = bytes(range(256)) * 16
PICTURE = Output("9", "a b.png", "sub", "output", "image", "image/png", len(BYTES))
HERE = "/expeditor/jobs/a/outputs/0"


@pytest.fixture
def folder(edge, tmp_path) -> Path:
    """ComfyUI's output folder with the picture of job `a` in it."""
    base = tmp_path / "output"
    (base / "sub").mkdir(parents=True)
    (base / "sub/a b.png").write_bytes(BYTES)
    edge.folders["output"] = str(base)
    made(edge, "a", PICTURE)
    return base


def made(edge, job_id: str, *outputs: Output) -> None:
    """A job that ended with these outputs."""
    enqueue(edge.store, job_id)
    claimed = claim(edge.store)
    done(edge.store.finish(job_id, claimed.attempt, ending(outputs=outputs)))


async def test_the_bytes_with_what_they_are(http, folder):
    response = await http.get(HERE)
    assert (response.status, await response.read()) == (200, BYTES)
    assert (response.content_type, response.content_length) == ("image/png", len(BYTES))
    assert response.headers["Accept-Ranges"] == "bytes"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["Content-Disposition"] == "inline; filename=\"a b.png\"; filename*=UTF-8''a%20b.png"


async def test_the_job_names_the_address(http, folder):
    (output,) = (await (await http.get("/expeditor/jobs/a")).json())["outputs"]
    assert output["url"] == str(http.make_url(HERE))
    assert output["view_url"].endswith("/view?filename=a+b.png&subfolder=sub&type=output")


@pytest.mark.parametrize(
    ("origin", "one_folder", "folder", "shown"),
    [
        (None, False, "output", True),
        ("gpu1", False, "output", True),
        ("gpu2", False, "output", False),
        ("gpu2", True, "output", True),
        ("gpu2", True, "temp", False),
    ],
)
async def test_a_view_url_is_told_where_comfyui_has_the_file(edge, aiohttp_client, origin, one_folder, folder, shown):
    edge.web[INSTANCE], edge.web[ONE_FOLDER] = "gpu1", one_folder
    http = await aiohttp_client(edge.web)
    enqueue(edge.store, "b", origin=origin)
    done(edge.store.finish("b", claim(edge.store).attempt, ending(outputs=(replace(PICTURE, folder=folder),))))
    (output,) = (await (await http.get("/expeditor/jobs/b")).json())["outputs"]
    assert (output["view_url"] is not None, output["url"]) == (shown, str(http.make_url("/expeditor/jobs/b/outputs/0")))


@pytest.mark.parametrize(
    ("asked", "part", "told"),
    [
        ("bytes=0-9", BYTES[:10], f"bytes 0-9/{len(BYTES)}"),
        ("bytes=-5", BYTES[-5:], f"bytes {len(BYTES) - 5}-{len(BYTES) - 1}/{len(BYTES)}"),
        ("bytes=4000-", BYTES[4000:], f"bytes 4000-{len(BYTES) - 1}/{len(BYTES)}"),
        ("bytes=4000-99999", BYTES[4000:], f"bytes 4000-{len(BYTES) - 1}/{len(BYTES)}"),
    ],
)
async def test_a_part_of_them(http, folder, asked, part, told):
    response = await http.get(HERE, headers={"Range": asked})
    assert (response.status, await response.read(), response.headers["Content-Range"]) == (206, part, told)


@pytest.mark.parametrize("asked", [f"bytes={len(BYTES)}-", "bytes=9-1", "bytes=x-y", "lines=1-2"])
async def test_a_part_that_is_not_there(http, folder, asked):
    response = await http.get(HERE, headers={"Range": asked})
    assert response.status == 416
    assert response.headers["Content-Range"] == f"bytes */{len(BYTES)}"


async def test_the_head_alone(http, folder):
    response = await http.head(HERE)
    assert (response.status, response.content_length, await response.read()) == (200, len(BYTES), b"")


async def test_what_the_client_has_is_not_sent_again(http, folder):
    tag = (await http.get(HERE)).headers["ETag"]
    assert (await http.get(HERE, headers={"If-None-Match": tag})).status == 304
    assert (await http.get(HERE, headers={"If-None-Match": '"other"'})).status == 200


@pytest.mark.parametrize("number", ["1", "-1", "x", "00000000000000", "9" * 30, "%D9%A0", "0.0"])
async def test_an_output_that_there_is_not(http, folder, number):
    response = await http.get(f"/expeditor/jobs/a/outputs/{number}")
    assert await refusal(response) == (404, "NOT_FOUND", [])


async def test_a_job_without_outputs_says_how_it_stands(http, edge):
    enqueue(edge.store, "b")
    response = await http.get("/expeditor/jobs/b/outputs/0")
    assert "it has none and is queued" in (await response.json())["error"]["message"]
    assert await refusal(await http.get("/expeditor/jobs/nobody/outputs/0")) == (404, "NOT_FOUND", [])


async def test_a_file_that_was_removed_is_missed_with_a_hint(http, folder):
    (folder / "sub/a b.png").unlink()
    response = await http.get(HERE)
    assert await refusal(response) == (404, "NOT_FOUND", [""])
    assert "run the job again" in (await response.json())["error"]["errors"][0]["hint"]


async def test_a_file_of_a_later_job_under_the_same_name_is_not_given_out(http, folder, edge):
    path, later_s = folder / "sub/a b.png", done(edge.store.get("a")).finished_at_s + 100
    path.write_bytes(b"another picture")
    os.utime(path, (later_s, later_s))
    assert await refusal(await http.get(HERE)) == (404, "NOT_FOUND", [""])
    path.write_bytes(BYTES)
    os.utime(path, (later_s, later_s))
    assert (await http.get(HERE)).status == 200, "touched, not changed"


async def test_a_pruned_job_is_gone(http, folder, edge):
    done(edge.store.prune(["a"]))
    assert await refusal(await http.get(HERE)) == (410, Gone.code, [])


@pytest.mark.parametrize(
    "strayed",
    [
        {"name": "../secret.txt"},
        {"subfolder": "..", "name": "secret.txt"},
        {"subfolder": "/", "name": "etc/passwd"},
        {"name": "link.txt", "subfolder": ""},
        {"name": "secret.txt", "subfolder": "out"},
        {"name": "sub", "subfolder": ""},
        {"name": "a\0b"},
        {"folder": "user"},
        {"name": "\ud800.png"},
    ],
)
async def test_nothing_outside_of_comfyuis_folders_is_given_out(http, folder, edge, strayed):
    secret = folder.parent / "secret.txt"
    secret.write_text("secret")
    (folder / "link.txt").symlink_to(secret)
    (folder / "out").symlink_to(folder.parent, target_is_directory=True)
    made(edge, "b", replace(PICTURE, size_bytes=None, **strayed))
    assert await refusal(await http.get("/expeditor/jobs/b/outputs/0")) == (404, "NOT_FOUND", [""])


@pytest.mark.parametrize(
    ("content_type", "name", "told"),
    [
        ("image/svg+xml", "a.svg", "attachment; filename=\"a.svg\"; filename*=UTF-8''a.svg"),
        ("application/octet-stream", "page.html", "attachment; filename=\"page.html\"; filename*=UTF-8''page.html"),
        ("text/plain", 'a"\r\nX: y.txt', "inline; filename=\"a___X: y.txt\"; filename*=UTF-8''a%22%0D%0AX%3A%20y.txt"),
        ("image/png", "é.png", "inline; filename=\"_.png\"; filename*=UTF-8''%C3%A9.png"),
        ("image/png", "\ud800.png", "inline; filename=\"_.png\"; filename*=UTF-8''%3F.png"),
    ],
)
def test_the_name_under_which_it_is_saved(content_type, name, told):
    assert disposition(replace(PICTURE, content_type=content_type, name=name)) == told


@pytest.mark.parametrize("ending", [".gz", ".br", ".zst"])
async def test_a_file_beside_it_is_never_sent_in_its_place(http, folder, ending):
    (folder / f"sub/a b.png{ending}").write_bytes(b"somebody else's")
    response = await http.get(HERE, headers={"Accept-Encoding": "gzip, br, zstd"})
    assert (response.status, await response.read()) == (200, BYTES)
    assert "Content-Encoding" not in response.headers
