"""A member reads the queue page by page while others go on: what it begins with is the queue as it stood at one moment."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from expeditor.jobs.errors import StoreUnavailable
from expeditor.jobs.log import LogQuery
from expeditor.jobs.model import Job, JobStatus
from expeditor.jobs.transitions import is_terminal
from expeditor.store.base import Reprioritise
from expeditor.store.bullmq import opening
from expeditor.store.bullmq.keys import Keys
from expeditor.store.records import PAGE_LIMIT_MAX, JobQuery
from tests.conformance.harness import claim, done, ending, new_job
from tests.conformance.members import Member, Members
from tests.support.redis_server import RedisServer

JOBS = 1300  # more than Redis keeps in one piece, whatever the size of a page
PAGE = 200


class Interrupted:
    """A client of a real Redis; before it reads a page something happens. It is told which page, from 1."""

    def __init__(self, client: Any, between: Callable[[int], None]) -> None:
        self._client = client
        self._between = between
        self.pages = 0

    def hscan(self, *args: Any, **kwargs: Any) -> Any:
        self.pages += 1
        self._between(self.pages)
        return self._client.hscan(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)


@pytest.fixture
def one(members: Members) -> Member:
    """A member, and many jobs that wait."""
    member = members("gpu1")
    futures = [member.store.enqueue(new_job(f"job{number}")) for number in range(JOBS)]
    assert [done(future).seq for future in futures] == list(range(1, JOBS + 1))
    return member


def standing(member: Member) -> dict[str, Job]:
    """What a member knows to be unfinished, by id."""
    found, cursor = dict[str, Job](), None
    statuses = tuple(status for status in JobStatus if not is_terminal(status))
    while True:
        page = done(member.store.page(JobQuery(statuses=statuses, limit=PAGE_LIMIT_MAX, cursor=cursor)))
        found |= {job.id: job for job in page.jobs}
        cursor = page.next_cursor
        if cursor is None:
            return found


def read(members: Members, client: Any) -> opening.Opening:
    """Look at the queue as a member that begins."""
    return opening.read(client, Keys(members.namespace), PAGE)


def test_what_others_change_while_it_is_read_is_as_they_left_it(
    members: Members, one: Member, redis_server: RedisServer
) -> None:
    ran = list[str]()

    def work(page: int) -> None:
        """Everything that changes a job: whether its page was read already or not."""
        done(one.store.pause(False))
        done(one.store.enqueue(new_job(f"late{page}")))
        taken, ended = claim(one.store), claim(one.store)
        done(one.store.finish(ended.job.id, 1, ending()))
        ran.extend((taken.job.id, ended.job.id))
        done(one.store.cancel(f"job{JOBS - page}"))
        done(one.store.reprioritise(f"job{JOBS // 2 + page}", Reprioritise(priority=9)))
        done(one.store.pause(page % 2 == 1))

    with redis_server.client() as client:
        interrupted = Interrupted(client, work)
        found = read(members, interrupted)
    assert interrupted.pages >= JOBS // PAGE > 2
    assert {kept.job.id: kept.job for kept in found.live} == standing(one)
    assert len(ran) == 2 * interrupted.pages
    assert (found.state.seq, found.state.paused) == (JOBS + interrupted.pages, interrupted.pages % 2 == 1)
    assert found.state.position == done(one.store.last_position())
    # So a member that begins with it goes on where the others are: also the events of a job are numbered on.
    other = members("gpu2")
    done(other.store.cancel(ran[0]))
    told = done(one.store.events(LogQuery(job_id=ran[0]))).events
    assert [event.number for event in told] == list(range(1, len(told) + 1))
    assert told[-1].facts["status"] == "canceling"


def test_where_the_log_of_commits_was_cut_meanwhile_it_is_read_anew(
    members: Members, one: Member, redis_server: RedisServer
) -> None:
    def cut(page: int) -> None:
        done(one.store.hold(f"job{page}", True))
        done(one.store.hold(f"job{page + 1}", True))
        if page == 1:
            client.xtrim(f"{{{members.namespace}}}:changes", maxlen=1, approximate=False)

    with redis_server.client() as client:
        interrupted = Interrupted(client, cut)
        found = read(members, interrupted)
        assert {kept.job.id: kept.job for kept in found.live} == standing(one)
        assert interrupted.pages >= 2 * (JOBS // PAGE)


def test_a_queue_that_changes_faster_than_it_can_be_read_is_said_so(
    members: Members, one: Member, redis_server: RedisServer
) -> None:
    def cut(page: int) -> None:
        done(one.store.hold("job1", page % 2 == 0))
        client.xtrim(f"{{{members.namespace}}}:changes", maxlen=0, approximate=False)

    with redis_server.client() as client, pytest.raises(StoreUnavailable, match="too fast to be read"):
        read(members, Interrupted(client, cut))


def test_a_queue_that_is_replaced_meanwhile_is_read_anew(
    members: Members, one: Member, redis_server: RedisServer
) -> None:
    def replace(page: int) -> None:
        if page == 2:
            client.delete(*client.keys(f"{{{members.namespace}}}:*"))
            client.hset(f"{{{members.namespace}}}:meta", "birth", "another")

    with redis_server.client() as client:
        found = read(members, Interrupted(client, replace))
    assert (found.state.birth, found.live) == ("another", [])
