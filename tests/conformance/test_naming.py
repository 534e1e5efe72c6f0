"""Which files jobs still name: what they made and what their prompts hold, looked for in steps."""

from __future__ import annotations

import json
from collections.abc import Set as AbstractSet
from dataclasses import replace

import pytest

from expeditor.jobs.leftovers import FileName
from expeditor.jobs.model import Payload
from expeditor.store.base import NAMING_STEP, JobStore
from tests.conformance.harness import IMAGE, claim, done, ending, enqueue, new_job

MADE = FileName(IMAGE.folder, IMAGE.subfolder, IMAGE.name)


def named(store: JobStore, texts: AbstractSet[str] = frozenset(), but: AbstractSet[str] = frozenset()):
    """What is named, as a set of outputs and one of texts, and in how many steps that was found out."""
    outputs, held, after_seq, steps = set(), set(), 0, 0
    wanted = {MADE, MADE._replace(subfolder="other"), FileName("output", "", "missing.png")}
    while after_seq is not None:
        found = done(store.naming(wanted, texts, but, after_seq))
        outputs, held, after_seq, steps = outputs | found.outputs, held | found.texts, found.next_seq, steps + 1
    return outputs, held, steps


def run(store: JobStore, job_id: str, *outputs) -> None:
    enqueue(store, job_id)
    claimed = claim(store)
    done(store.finish(job_id, claimed.attempt, ending(outputs=outputs)))


def test_what_other_jobs_made_is_named(store: JobStore):
    assert named(store) == (set(), set(), 1)
    run(store, "a", IMAGE, replace(IMAGE, name="b.png"))
    assert named(store)[0] == {MADE}
    assert named(store, but={"a"})[0] == set()
    run(store, "b", IMAGE)
    assert named(store, but={"a"})[0] == {MADE}
    done(store.prune(["b"]))
    assert named(store, but={"a"})[0] == set()


def test_texts_of_prompts_are_found_whole_and_as_values_only(store: JobStore):
    prompt = {"1": {"class_type": "LoadImage", "inputs": {"image": "a b.png [input]", "deep": [{"é": "ü.png"}]}}}
    done(store.enqueue(new_job("a", payload=Payload(json.dumps(prompt), "{}", "[]"))))
    done(store.enqueue(new_job("b", payload=Payload("no prompt", "{}", "[]"))))
    asked = {"a b.png [input]", "a b.png", "ü.png", "é", "LoadImage", "inputs"}
    assert named(store, asked)[1] == {"a b.png [input]", "ü.png", "LoadImage"}
    assert named(store, asked, but={"a"})[1] == set()


@pytest.mark.long
def test_many_jobs_are_looked_at_in_steps(store: JobStore):
    run(store, "first", IMAGE)
    for future in [store.enqueue(new_job(f"j{n}")) for n in range(NAMING_STEP)]:
        done(future)
    assert named(store) == ({MADE}, set(), 2)
