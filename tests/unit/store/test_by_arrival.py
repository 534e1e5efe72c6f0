"""A line gives its newest jobs, and counts its batches, as a look at all of them would."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from expeditor.jobs.model import BatchSlot, JobStatus
from expeditor.store.line import Line
from tests.support.jobs import a_job

STATUSES = (JobStatus.QUEUED, JobStatus.RUNNING, JobStatus.SUCCEEDED)
CHANGES = st.lists(st.tuples(st.integers(1, 40), st.sampled_from(STATUSES)), max_size=120)
COMMON = a_job()


@given(CHANGES, st.integers(0, 41), st.integers(0, 41), st.integers(1, 50))
def test_the_newest_are_those_that_a_look_at_all_finds(
    changes: list[tuple[int, JobStatus]], before_seq: int, after_seq: int, limit: int
) -> None:
    line, jobs = Line(), {}
    for seq, status in changes:
        jobs[seq] = replace(COMMON, id=f"job{seq}", seq=seq, status=status, slot=BatchSlot(f"batch{seq % 3}", seq))
        line.put(jobs[seq])
    left = [jobs[seq] for seq in sorted(jobs, reverse=True) if jobs[seq].status is not JobStatus.SUCCEEDED]
    between = [job for job in left if after_seq < job.seq < before_seq]
    assert line.newest(before_seq, limit, after_seq=after_seq) == between[:limit]
    running = [job for job in between if job.status is JobStatus.RUNNING]
    assert line.newest(before_seq, limit, lambda job: job.status is JobStatus.RUNNING, after_seq) == running[:limit]
    for number in range(3):
        in_batch = [job for job in left if job.seq % 3 == number]
        assert line.in_batch(f"batch{number}") == Counter(job.status for job in in_batch)


@pytest.mark.parametrize("left_each", [0, 7])
def test_jobs_that_are_gone_are_struck_out_and_the_others_stay(left_each: int) -> None:
    line, left = Line(), list[int]()
    for seq in range(1, 5001):
        line.put(replace(COMMON, id=f"job{seq}", seq=seq))
        if left_each and seq % left_each == 0:
            left.append(seq)
        else:
            line.remove(f"job{seq}")
    assert [job.seq for job in line.newest(10_000, 10_000)] == left[::-1]
    assert [job.seq for job in line.newest(10_000, 10_000, lambda job: job.seq % 2 == 0)] == [
        seq for seq in left[::-1] if seq % 2 == 0
    ]
