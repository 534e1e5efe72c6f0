"""What a shared queue writes is read again as it was, and ranks keep the order of scores."""

from __future__ import annotations

import uuid

from hypothesis import given
from hypothesis import strategies as st

from expeditor.jobs.events import JobEvent, LoggedEvent
from expeditor.jobs.model import Attempt, BatchSlot, Cause, JobError, JobStatus, Output, Payload, WebhookTarget
from expeditor.store.bullmq import ticks
from expeditor.store.bullmq.keys import id_of_key, key_of_id, key_of_stub, stub_of
from expeditor.store.bullmq.records import (
    Kept,
    event_fields,
    event_of,
    live_event,
    pack_job,
    pack_payload,
    unpack_job,
    unpack_payload,
)
from tests.support.jobs import a_job

SCORES = st.floats(-1e9, 1e9)
TEXTS = st.text(st.characters(codec="utf-8"), max_size=40) | st.just('"\ud800"')


@given(SCORES, SCORES, SCORES)
def test_a_rank_never_falls_as_the_score_grows(one: float, other: float, epoch: float) -> None:
    low, high = sorted((one, other))
    assert ticks.RANK_MIN <= ticks.rank(low, epoch) <= ticks.rank(high, epoch) <= ticks.RANK_MAX


@given(SCORES, st.floats(0, 1e6))
def test_scores_a_tick_apart_have_ranks_of_their_own_near_the_head(lowest: float, further: float) -> None:
    epoch = ticks.epoch_for(lowest)
    score = lowest + further
    assert ticks.fits(score, epoch)
    assert ticks.rank(score, epoch) < ticks.rank(score + 1.001 * ticks.TICK, epoch)


@given(st.text(max_size=40).filter(lambda text: text.isprintable()) | st.uuids().map(str))
def test_an_id_is_read_again(job_id: str) -> None:
    assert id_of_key(key_of_id(job_id)) == job_id


def test_no_text_has_the_key_of_a_uuid() -> None:
    taken = uuid.UUID(bytes=b"=" + b"a" * 15)
    assert key_of_id(str(taken)) != key_of_id("a" * 15)
    assert id_of_key(key_of_id(str(taken))) == str(taken)


@given(TEXTS, TEXTS, TEXTS)
def test_a_payload_is_read_again(one: str, two: str, three: str) -> None:
    payload = Payload(one, two, three)
    assert unpack_payload(pack_payload(payload)) == payload


def test_a_job_with_everything_is_read_again() -> None:
    job = a_job(
        status=JobStatus.FAILED,
        cause=Cause.NODE_ERROR,
        error=JobError("NODE_ERROR", "half \ud800", node_id="3", traceback="x\ny"),
        attempts=(
            Attempt(1, 1.5, "a/1", 2.5, JobStatus.FAILED, Cause.LEASE_LOST, "3", "gone"),
            Attempt(2, 3.5, "b/1"),
        ),
        outputs=(Output("9", "a.png", "sub", "output", "image", "image/png", 5, cached=True),),
        slot=BatchSlot("batch", 3),
        webhook=WebhookTarget("https://a.example", ("job.failed",)),
        metadata={"a": ["b", None], "c": "d", "n": 2**70},
        models=("m.safetensors",),
        held=True,
        cached=True,
        not_before_s=7.25,
    )
    kept = Kept(job, (4, 9), 2)
    assert unpack_job(job.id, pack_job(kept)) == kept
    assert key_of_stub(stub_of(job)) == key_of_id(job.id)


@given(st.integers(0, 400))
def test_a_record_is_read_again_however_long_it_is(length: int) -> None:
    kept = Kept(a_job(client_id="c" * length), (4,), 1)
    assert unpack_job(kept.job.id, pack_job(kept)) == kept


def test_long_records_are_kept_short() -> None:
    outputs = tuple(Output(str(n), f"ComfyUI_{n:05}_.png", "", "output", "image", "image/png", n) for n in range(50))
    assert len(pack_job(Kept(a_job(status=JobStatus.SUCCEEDED, outputs=outputs)))) < 12 * len(outputs)


def test_an_event_is_read_again() -> None:
    job = a_job(status=JobStatus.FAILED, error=JobError("X", "y"), slot=BatchSlot("batch", 0))
    event = JobEvent.of(job, 5.5, Cause.NODE_ERROR).numbered(7, 2)
    words = event_fields(event, key_of_id(job.id))
    raw = [word if isinstance(word, bytes) else word.encode() for word in words]
    assert event_of(7, job.id, dict(zip(raw[::2], raw[1::2], strict=True))) == event.logged()


def test_an_event_is_told_without_what_only_a_later_version_knows() -> None:
    job = a_job()
    output = {
        "node_id": "9",
        "name": "a.png",
        "subfolder": "",
        "folder": "output",
        "type": "image",
        "content_type": "image/png",
    }
    facts = {"cause": "OF_LATER", "output": output | {"new": 1}}
    told = live_event(LoggedEvent(7, 2, "job.output", 5.5, job.id, "ada", None, facts), job)
    assert (told.cause, told.position) == (None, 7)
    assert told.produced == Output("9", "a.png", "", "output", "image", "image/png")
