"""Which job made an output is found by the output's id as an asset, in every store and after every restart."""

from __future__ import annotations

from dataclasses import replace

from expeditor.jobs.asset_ids import output_asset_id
from expeditor.jobs.model import JobStatus
from tests.conformance.harness import IMAGE, claim, done, ending, enqueue

OTHER = replace(IMAGE, name="a\udcff.png")


def _made(store, job_id: str, *outputs, status: JobStatus = JobStatus.SUCCEEDED):
    enqueue(store, job_id)
    return done(store.finish(job_id, claim(store).attempt, ending(status, outputs=outputs)))


def test_the_maker_of_an_output_is_found(storage, store):
    job = _made(store, "a", IMAGE, OTHER)
    _made(store, "b", IMAGE)
    for start in (lambda: store, storage.start):
        found = start()
        assert done(found.maker(output_asset_id("a", IMAGE))) == job
        assert done(found.maker(output_asset_id("a", OTHER))) == job
        assert done(found.maker(output_asset_id("b", IMAGE))).id == "b"
        assert done(found.maker(output_asset_id("c", IMAGE))) is None


def test_a_job_that_is_put_back_has_no_outputs_and_gets_new_ones(store):
    _made(store, "a", IMAGE, status=JobStatus.FAILED)
    done(store.redrive("a"))
    assert done(store.get("a")).outputs == ()
    assert done(store.maker(output_asset_id("a", IMAGE))) is None
    done(store.finish("a", claim(store).attempt, ending(outputs=(IMAGE, OTHER))))
    assert done(store.maker(output_asset_id("a", IMAGE))).id == "a"
    assert done(store.maker(output_asset_id("a", OTHER))).id == "a"


def test_a_pruned_job_made_nothing(storage, store):
    _made(store, "a", IMAGE)
    done(store.prune(["a"]))
    assert done(store.maker(output_asset_id("a", IMAGE))) is None
    assert done(storage.start().maker(output_asset_id("a", IMAGE))) is None
