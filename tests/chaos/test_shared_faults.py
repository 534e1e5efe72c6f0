"""What else befalls the members of a shared queue: a job that ends each process that runs it, a process that hangs for longer than its
lease, clocks that are an hour off. The members are `cluster_child.py`, on a real Redis."""

from __future__ import annotations

from expeditor.jobs.instances import instance_of
from expeditor.jobs.model import Cause, JobStatus
from expeditor.store.base import MAX_DEATHS
from tests.chaos.members import shared_queue
from tests.support.waiting import wait_until

LEASE_S = 2.0
HOUR_S = 3600.0
NEAR_S = 60.0
LONG_S = 60.0


def test_a_job_that_ends_its_worker_is_given_up_at_the_third_death_whoever_died():
    with shared_queue(LEASE_S) as queue:
        members = [queue.start(f"{name}/0") for name in ("a", "b", "c", "d")]
        queue.until_ready(*members)
        queue.submit("poison", "kills", priority=10)
        wait_until(lambda: queue.ended("poison"), LONG_S, 0.05, "the end of the poison job")
        dead = [member for member in members if member.process.poll() is not None]
        for member in dead:
            member.ended()
        poison = queue.job("poison")
        assert (poison.status, poison.cause, poison.deaths) == (JobStatus.FAILED, Cause.POISON, MAX_DEATHS)
        assert [attempt.cause for attempt in poison.attempts] == [Cause.LEASE_LOST] * MAX_DEATHS
        ran_by = {instance_of(attempt.boot_id) for attempt in poison.attempts}
        assert ran_by == {instance_of(member.boot_id) for member in dead}
        assert len(ran_by) == MAX_DEATHS
        # Nobody is given it again: neither the one who is left nor one who comes back.
        back = queue.start("a/1")
        queue.until_ready(back)
        for n in range(6):
            queue.submit(f"good-{n}", "ok", priority=1)
        wait_until(lambda: all(queue.ended(f"good-{n}") for n in range(6)), LONG_S, 0.05, "the end of the others")
        assert {queue.job(f"good-{n}").status for n in range(6)} == {JobStatus.SUCCEEDED}
        assert len(queue.job("poison").attempts) == MAX_DEATHS


def test_the_result_of_a_worker_that_hung_beyond_its_lease_is_refused_and_the_others_stands():
    with shared_queue(LEASE_S) as queue:
        hung = queue.start("hung/0")
        queue.until_ready(hung)
        queue.submit("job", "slow")
        wait_until(lambda: hung.words("claimed"), LONG_S, 0.001, "the claim")
        hung.stop_world()
        other = queue.start("other/0")
        wait_until(
            lambda: ("job", "2") in [words[:2] for words in other.words("settled")], LONG_S, 0.01, "the other's end"
        )
        assert not hung.words("ran"), "it was stopped too late to show anything"
        before = queue.job("job")
        hung.go_on()
        wait_until(lambda: hung.words("settled"), LONG_S, 0.01, "the late result")
        assert hung.words("ran") == [("job", "1")]
        assert hung.words("lost") == [("job", "1")], "its own run was not told to stop"

        job = queue.job("job")
        assert job == before
        assert [(instance_of(attempt.boot_id), attempt.outcome, attempt.cause) for attempt in job.attempts] == [
            ("hung", JobStatus.FAILED, Cause.LEASE_LOST),
            ("other", JobStatus.SUCCEEDED, None),
        ]
        told = [event.type for event in queue.log() if event.job_id == "job"]
        assert told.count("job.succeeded") == 1
        assert told.count("job.started") == 2

        # It is a member as before.
        other.kill()
        queue.submit("next", "ok")
        wait_until(lambda: queue.ended("next"), LONG_S, 0.05, "the end of the next job")
        assert instance_of(queue.job("next").attempts[-1].boot_id) == "hung"


def test_clocks_that_are_an_hour_off_change_nothing():
    with shared_queue(LEASE_S) as queue:
        began_s = queue.now_s()
        offs = {"ahead/0": HOUR_S, "right/0": 0.0, "behind/0": -HOUR_S}
        members = [queue.start(boot_id, submits=30, clock_off_s=off_s) for boot_id, off_s in offs.items()]
        queue.until_ready(*members)
        wait_until(lambda: all(member.words("submitted") for member in members), LONG_S, 0.05, "all submitted")
        wait_until(lambda: queue.waits() == 0, LONG_S, 0.05, "an empty queue")
        jobs = queue.jobs()
        assert len(jobs) == 90
        assert {job.status for job in jobs.values()} == {JobStatus.SUCCEEDED}
        assert {job.deaths for job in jobs.values()} == {0}
        assert {attempt.boot_id for job in jobs.values() for attempt in job.attempts} == set(offs)
        assert not queue.said("lost"), "a lease that nobody took was told as lost"
        for job in jobs.values():
            times = [job.created_at_s, job.queued_at_s, job.finished_at_s or 0.0]
            times += [attempt.started_at_s for attempt in job.attempts]
            assert all(began_s - NEAR_S < at_s < queue.now_s() + NEAR_S for at_s in times), (job.id, times)
            if job.metadata["fate"] == "late":
                assert job.not_before_s is not None
                assert job.attempts[0].started_at_s >= job.not_before_s
