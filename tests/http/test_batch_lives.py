"""A batch over real HTTP once it is in: how it stands, its results, cancel, retry, 404 and 410."""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import replace

import pytest

from expeditor.jobs.model import Cause, JobError, JobStatus
from expeditor.jobs.transitions import TERMINAL
from tests.conformance.harness import IMAGE, claim, done, ending
from tests.http.batch_edge import BATCHES, SEEDS, BatchApp, got, jobs_of, posted
from tests.http.edge import refusal
from tests.unit.intake.fake_definitions import graph


@pytest.fixture
def edge():
    made = BatchApp()
    yield made
    made.storage.stop()


def settle(edge, status=JobStatus.SUCCEEDED, **fields):
    claimed = claim(edge.store)
    return done(edge.store.finish(claimed.job.id, claimed.attempt, ending(status, **fields)))


async def test_a_batch_tells_how_its_jobs_stand(http, edge):
    batch = await posted(http, {"prompt": graph(), "sweep": SEEDS})
    settle(edge, outputs=(IMAGE,))
    broken = settle(edge, JobStatus.FAILED, cause=Cause.NODE_ERROR, error=JobError("NODE_ERROR", "it broke", "1"))
    claim(edge.store)
    told = await got(http, f"{BATCHES}/{batch['id']}")
    assert (told["status"], told["count"], told["ended"]) == ("running", 6, 2)
    counts = {name: count for name, count in told["progress"].items() if count}
    assert counts == {"succeeded": 1, "failed": 1, "running": 1, "queued": 3}
    assert told["failed"] == [{"index": 1, "job_id": broken.id, "code": "NODE_ERROR", "message": "it broke"}]
    assert told["eta_s"] > 0
    assert set(told["links"]) == {"self", "jobs", "results", "zip", "cancel", "retry"}
    results = await got(http, f"{BATCHES}/{batch['id']}/results")
    assert [row["status"] for row in results["items"]] == ["succeeded", "failed", "running", *["queued"] * 3]
    (output,) = results["items"][0]["outputs"]
    assert output["url"].endswith(f"/expeditor/jobs/{batch['job_ids'][0]}/outputs/0")
    assert results["items"][1]["error"]["message"] == "it broke"


async def test_cancel_ends_what_has_not_ended_and_can_be_said_twice(http, edge):
    batch = await posted(http, {"prompt": graph(), "sweep": SEEDS})
    other = await posted(http, {"prompt": graph(), "sweep": SEEDS})
    settle(edge)
    for canceled in (5, 0):
        response = await http.post(f"{BATCHES}/{batch['id']}/cancel")
        told = await response.json()
        assert (response.status, told["canceled"], told["batch"]["status"]) == (200, canceled, "ended")
    assert "cancel" not in told["batch"]["links"]
    assert {job.status for job in jobs_of(edge, other["id"])} == {JobStatus.QUEUED}


async def test_retry_runs_the_failed_ones_again_and_can_be_said_twice(http, edge):
    batch = await posted(http, {"prompt": graph(), "sweep": SEEDS})
    ids = [settle(edge, JobStatus.FAILED, cause=Cause.NODE_ERROR).id for _ in range(3)]
    settle(edge)
    done(edge.store.cancel(batch["job_ids"][5]))
    for retried in (3, 0):
        response = await http.post(f"{BATCHES}/{batch['id']}/retry")
        told = await response.json()
        assert (response.status, told["retried"], told["batch"]["progress"]["queued"]) == (200, retried, 4)
    assert [job.status in TERMINAL for job in jobs_of(edge, batch["id"])] == [False, False, False, True, False, True]
    order = [claim(edge.store).job.id for _ in range(4)]
    assert order[1:] == ids, "in their old order, behind what waits"


async def test_an_unknown_batch_is_404_and_a_pruned_one_410(http, edge):
    batch = await posted(http, {"prompt": graph(), "sweep": SEEDS})
    url = f"{BATCHES}/{batch['id']}"
    done(edge.store.cancel(batch["job_ids"][0]))
    done(edge.store.prune(batch["job_ids"][:1]))
    told = await got(http, url)
    assert (told["count"], told["ended"], told["progress"]["pruned"]) == (6, 1, 1)
    assert (await got(http, f"{url}/results"))["items"][0]["status"] == "pruned"
    await http.post(f"{url}/cancel")
    done(edge.store.prune(batch["job_ids"]))
    for base, expected in ((url, (410, "GONE")), (f"{BATCHES}/nobody", (404, "NOT_FOUND"))):
        for path in ("", "/results", "/results.zip"):
            assert (await refusal(await http.get(base + path)))[:2] == expected
        for path in ("/cancel", "/retry"):
            assert (await refusal(await http.post(base + path)))[:2] == expected


# -- the zip -------------------------------------------------------------------------------------------------------------


def made(folder, *names):
    """Outputs with files in ComfyUI's output folder."""
    for name in names:
        (folder / name).write_bytes(name.encode() * 100)
    return tuple(replace(IMAGE, name=name, subfolder="", size_bytes=None) for name in names)


async def test_the_zip_has_every_file_in_a_folder_of_its_job_and_the_manifest(http, edge, tmp_path):
    edge.folders["output"] = str(tmp_path)
    batch = await posted(http, {"prompt": graph(), "sweep": {"product": {"1.color": list(range(12))}}})
    settle(edge, outputs=made(tmp_path, "a.png", "b.png"))
    settle(edge, outputs=(*made(tmp_path, "c.png"), *made(tmp_path, "gone.png")))
    (tmp_path / "gone.png").unlink()
    response = await http.get(f"{BATCHES}/{batch['id']}/results.zip")
    assert response.status == 200
    assert response.headers["Content-Type"] == "application/zip"
    assert response.headers["Content-Disposition"] == f'attachment; filename="batch-{batch["id"]}.zip"'
    with zipfile.ZipFile(io.BytesIO(await response.read())) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    manifest = json.loads(files.pop("manifest.json"))
    assert files == {name: name[3:].encode() * 100 for name in ("00/a.png", "00/b.png", "01/c.png")}
    assert [[out["file"] for out in row["outputs"]] for row in manifest["items"][:3]] == [
        ["00/a.png", "00/b.png"],
        ["01/c.png", None],
        [],
    ]
    assert (manifest["missing"], manifest["items"][11]["values"]) == (1, {"1.color": 11})


async def test_a_client_that_goes_in_the_middle_of_a_zip_harms_nobody(http, edge, tmp_path):
    edge.folders["output"] = str(tmp_path)
    batch = await posted(http, {"prompt": graph(), "sweep": SEEDS})
    outputs = made(tmp_path, "large.png")
    with (tmp_path / "large.png").open("wb") as large:
        large.truncate(200 * 1024 * 1024)
    settle(edge, outputs=outputs)
    response = await http.get(f"{BATCHES}/{batch['id']}/results.zip")
    assert await response.content.read(1000)
    response.close()
    again = await got(http, f"{BATCHES}/{batch['id']}")
    assert again["ended"] == 1
