"""Waiting for a job to change: nothing between the look and the wait is missed."""

from __future__ import annotations

import asyncio
import threading

from expeditor.events.changes import JobChanges
from expeditor.jobs.events import JobEvent
from expeditor.jobs.model import Job, JobStatus, Principal, Source


def _event(job_id: str) -> JobEvent:
    job = Job(job_id, Principal("ada"), 3, Source.SUBMIT, JobStatus.QUEUED, 1.0, 1.0, 0.0, 1, 0.0, 0.0, 5.0)
    return JobEvent.of(job, 1.0)


async def test_an_event_between_the_entry_and_the_wait_is_not_missed():
    changes = JobChanges()
    with changes.watch("a") as watch:
        changes.publish((_event("a"),))
        assert await watch.changed(5.0)
        assert not await watch.changed(0.0)


async def test_only_events_of_the_job_wake_and_from_any_thread():
    changes = JobChanges()
    with changes.watch("a") as watch:
        changes.publish((_event("b"),))
        assert not await watch.changed(0.0)
        threading.Thread(target=changes.publish, args=((_event("b"), _event("a")),)).start()
        assert await watch.changed(5.0)


async def test_all_who_wait_are_woken_and_none_who_left():
    changes = JobChanges()
    with changes.watch("a") as first, changes.watch("a") as second:
        changes.publish((_event("a"),))
        assert await asyncio.gather(first.changed(5.0), second.changed(5.0)) == [True, True]
    changes.publish((_event("a"),))
    assert not await first.changed(0.0)
