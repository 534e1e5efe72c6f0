"""Redis fails over to its replica while members submit and run: what was accepted is there, and nothing is in twice."""

from __future__ import annotations

import threading
from collections import Counter

from expeditor.jobs.errors import Conflict, StoreUnavailable
from expeditor.jobs.model import JobStatus
from expeditor.store.records import JobQuery
from tests.conformance.harness import claim, done, ending, enqueue
from tests.support.redis_server import Sentinels
from tests.support.store_member import Member
from tests.support.waiting import wait_until

BEFORE, AFTER = 60, 60


class Submitter:
    """Submits without a pause on a thread of its own; each id until it is in."""

    def __init__(self, member: Member) -> None:
        self.accepted: list[str] = []
        self.refused = 0
        self._member = member
        self._enough = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._enough.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._enough.is_set():
            self._submit(f"job-{len(self.accepted)}")

    def _submit(self, job_id: str) -> None:
        while not self._enough.is_set():
            try:
                enqueue(self._member.store, job_id)
            except StoreUnavailable:
                self.refused += 1
                self._enough.wait(0.05)
                continue
            except Conflict:
                pass  # it was in though it was refused: the answer was lost with the old master
            self.accepted.append(job_id)
            return


def test_a_failover_loses_nothing_that_was_accepted_and_doubles_nothing() -> None:
    with Sentinels(password="pw", sentinel_password="other") as several:
        one, other = Member(several.url, "gpu1"), Member(several.url, "gpu2")
        try:
            enqueue(other.store, "runs")
            running = claim(other.store)
            submitter = Submitter(one)
            wait_until(lambda: len(submitter.accepted) >= BEFORE)
            several.master.kill()
            wait_until(lambda: several.master_port() == several.replica.port, 60.0, 0.1, "the failover")
            at = len(submitter.accepted)
            wait_until(lambda: len(submitter.accepted) >= at + AFTER, 60.0, what="submits to go on")
            submitter.stop()
            assert submitter.refused, "the failover was not noticed: nothing was tested"
            wait_until(lambda: settled(other, running.attempt), 30.0, 0.2, "the running job to be settled")
            assert_all_there_once(other, submitter.accepted)
            fresh = Member(several.url, "gpu3")
            try:
                assert_all_there_once(fresh, submitter.accepted)
            finally:
                fresh.close()
        finally:
            for member in (one, other):
                member.close()


def settled(member: Member, attempt: int) -> bool:
    """Whether the end of the job that ran through it all is stored."""
    try:
        return done(member.store.finish("runs", attempt, ending())).status is JobStatus.SUCCEEDED
    except StoreUnavailable:
        return False


def assert_all_there_once(member: Member, accepted: list[str]) -> None:
    """By the list of all jobs: each accepted one, once."""
    found: Counter[str] = Counter()
    cursor = None
    while True:
        page = done(member.store.page(JobQuery(limit=100, cursor=cursor)))
        found.update(job.id for job in page.jobs)
        cursor = page.next_cursor
        if cursor is None:
            break
    assert [job_id for job_id in accepted if found[job_id] != 1] == []
    assert sum(found.values()) == len(set(accepted)) + 1
