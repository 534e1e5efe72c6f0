"""Emptying the outbox: how many go out at once and to whom, what is noted, and what a fault of the outbox does. A real outbox."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from concurrent.futures import Future

import pytest
from standardwebhooks.webhooks import Webhook

from expeditor.events.webhooks.circuits import FAILURES
from expeditor.events.webhooks.retrying import Answer, RetryPlan
from expeditor.events.webhooks.signing import Signer, Signers, new_secret
from expeditor.events.webhooks.worker import AT_ONCE, AT_ONCE_PER_PLACE, Clocks, DeliveryWorker
from expeditor.jobs.deliveries import DeliveryStatus, NewDelivery, TargetOrigin
from expeditor.jobs.errors import StoreUnavailable
from expeditor.store.sqlite.deliveries import SqliteDeliveries
from tests.conformance.harness import HandClock, done
from tests.support.waiting import wait_until_async

SECRET = new_secret(b"s" * 32)
YES, NO, DOWN = Answer(204), Answer(500, "no"), Answer(None, "nobody", reachable=False)


class FakeSender:
    """Answers as `answers` says by host; a host among `hanging` waits until it is let go. Notes what was sent, and how many at once."""

    def __init__(self) -> None:
        self.answers = {}
        self.hanging = {}
        self.sent = []
        self.now = Counter()
        self.most = Counter()

    async def send(self, url, headers, body):
        host = url.split("/")[2]
        self.sent.append((url, headers, body))
        self.now[host] += 1
        self.most[host] = max(self.most[host], self.now[host])
        self.most["all"] = max(self.most["all"], sum(self.now.values()))
        try:
            if host in self.hanging:
                await self.hanging[host].wait()
            answer = self.answers.get(host, YES)
            if isinstance(answer, Exception):
                raise answer
            return answer
        finally:
            self.now[host] -= 1

    async def close(self):
        pass

    def hosts(self):
        return [url.split("/")[2] for url, _, _ in self.sent]


class FakeCount:
    """Counts outcomes."""

    def __init__(self) -> None:
        self.outcomes = Counter()

    def webhook_delivery(self, outcome):
        self.outcomes[outcome] += 1


class Bench:
    """A worker on a real outbox, with clocks set by hand."""

    def __init__(self) -> None:
        self.clock = HandClock()
        self.wall_s = self.monotonic_s = 1_700_000_000.0
        self.outbox = SqliteDeliveries(None, self.clock, longest_delay_s=1e6)
        self.outbox.open()
        self.settling = True
        self.sender = FakeSender()
        self.count = FakeCount()
        self.pruned = []
        self.to_prune = []

    def due(self, *args):
        return self.outbox.due(*args)

    def settle(self, *args):
        if not self.settling:
            raise StoreUnavailable("disk full")
        return self.outbox.settle(*args)

    def _prune(self, now_s):
        self.pruned.append(now_s)
        told = Future()
        told.set_result(self.to_prune.pop() if self.to_prune else 0)
        return told

    @contextlib.asynccontextmanager
    async def running(self):
        worker = DeliveryWorker(
            outbox=self,
            sender=self.sender,
            signers=Signers(Signer([SECRET]), {}),
            plan=RetryPlan((5.0, 30.0), lambda: 0.5),
            counted=self.count,
            clocks=Clocks(self.clock, lambda: self.wall_s, lambda: self.monotonic_s),
            prune=self._prune,
            tick_s=0.01,
            note_again_s=0.01,
        )
        task = asyncio.create_task(worker.run())
        yield worker
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    def later(self):
        self.monotonic_s += 61
        return True

    def add(self, *hosts):
        new = [
            NewDelivery(
                f"msg_{n}_{host}",
                f"job-{n}",
                "job.failed",
                1,
                f"https://{host}/",
                f"{host}:443",
                TargetOrigin.JOB,
                "",
                "{}",
            )
            for n, host in enumerate(hosts)
        ]
        done(self.outbox.add(new, 1, self.clock()))
        return [each.id for each in new]

    def of(self, delivery_id):
        return done(self.outbox.get(delivery_id)).delivery

    async def until(self, predicate, what=""):
        await wait_until_async(predicate, 10, what=what)


@pytest.fixture
def bench():
    made = Bench()
    yield made
    made.outbox.close()


async def test_what_is_due_is_sent_signed_and_noted(bench):
    (sent,) = bench.add("a")
    bench.wall_s = time.time()  # the library compares with its own clock
    async with bench.running():
        await bench.until(lambda: bench.of(sent).status is DeliveryStatus.DELIVERED)
    ((_, headers, body),) = bench.sender.sent
    assert Webhook(SECRET).verify(body, headers) == {}
    assert (headers["webhook-id"], bench.count.outcomes) == (sent, {"delivered": 1})


async def test_a_failure_is_tried_again_when_its_time_has_come_and_then_given_up(bench):
    (sent,) = bench.add("a")
    bench.sender.answers["a"] = NO
    async with bench.running():
        for tries, wait_s in ((1, 5.0), (2, 30.0)):
            await bench.until(lambda tries=tries: bench.of(sent).attempts == tries)
            assert bench.of(sent).next_try_at_s == pytest.approx(bench.clock() + wait_s, abs=1)
            bench.clock.now_s += wait_s + 1
        await bench.until(lambda: bench.of(sent).status is DeliveryStatus.FAILED)
    assert bench.count.outcomes == {"retry": 2, "failed": 1}
    assert len({headers["webhook-id"] for _, headers, _ in bench.sender.sent}) == 1


async def test_a_fault_of_ours_is_a_failed_try_and_not_made_again_at_once(bench, caplog):
    (sent,) = bench.add("a")
    bench.sender.answers["a"] = RuntimeError("a bug")
    async with bench.running():
        await bench.until(lambda: bench.of(sent).attempts == 1)
        assert bench.of(sent).status is DeliveryStatus.PENDING
        assert bench.of(sent).next_try_at_s > bench.clock()
        assert len(bench.sender.sent) == 1
    assert "a bug" in caplog.text


async def test_a_wall_clock_that_is_set_moves_the_timestamp_and_no_try(bench):
    (sent,) = bench.add("a")
    bench.sender.answers["a"] = NO
    async with bench.running():
        await bench.until(lambda: bench.of(sent).attempts == 1)
        bench.wall_s += 365 * 86_400
        bench.clock.now_s += 6
        await bench.until(lambda: bench.of(sent).attempts == 2)
    stamps = [int(headers["webhook-timestamp"]) for _, headers, _ in bench.sender.sent]
    assert stamps[1] - stamps[0] == 365 * 86_400
    assert bench.of(sent).next_try_at_s == pytest.approx(bench.clock() + 30, abs=1)


async def test_a_host_that_hangs_holds_up_nobody_else(bench):
    let_go = bench.sender.hanging["dead"] = asyncio.Event()
    slow = bench.add(*["dead"] * 20)
    quick = [bench.add(f"h{n}")[0] for n in range(10)]
    async with bench.running():
        await bench.until(lambda: all(bench.of(each).status is DeliveryStatus.DELIVERED for each in quick))
        assert bench.sender.most["dead"] == AT_ONCE_PER_PLACE
        let_go.set()
        await bench.until(lambda: all(bench.of(each).status is DeliveryStatus.DELIVERED for each in slow))
    assert bench.sender.most["dead"] == AT_ONCE_PER_PLACE
    assert len(bench.sender.sent) == 30


async def test_all_together_are_bounded(bench):
    let_go = asyncio.Event()
    hosts = [f"h{n}" for n in range(AT_ONCE + 10)]
    bench.sender.hanging = dict.fromkeys(hosts, let_go)
    sent = bench.add(*hosts)
    async with bench.running():
        await bench.until(lambda: bench.sender.most["all"] == AT_ONCE)
        let_go.set()
        await bench.until(lambda: all(bench.of(each).status is DeliveryStatus.DELIVERED for each in sent))
    assert bench.sender.most["all"] == AT_ONCE


async def test_a_host_where_nobody_answers_rests_and_one_message_tries_it_again(bench):
    sent = bench.add(*["a"] * (FAILURES + 5))
    bench.sender.answers["a"] = DOWN
    async with bench.running():
        await bench.until(lambda: len(bench.sender.sent) >= FAILURES)
        bench.clock.now_s += 10
        other = bench.add("b")
        await bench.until(lambda: bench.of(other[0]).status is DeliveryStatus.DELIVERED)
        tried = bench.sender.hosts().count("a")
        assert tried < FAILURES + AT_ONCE_PER_PLACE
        bench.sender.most["a"] = 0
        bench.monotonic_s += 31
        await bench.until(lambda: bench.sender.hosts().count("a") > tried)
        assert bench.sender.most["a"] == 1
        bench.sender.answers["a"] = YES
        bench.monotonic_s += 1_000
        bench.clock.now_s += 40
        await bench.until(lambda: all(bench.of(each).status is DeliveryStatus.DELIVERED for each in sent))


async def test_what_cannot_be_noted_is_noted_later_and_not_sent_again(bench):
    (sent,) = bench.add("a")
    bench.settling = False
    async with bench.running():
        await bench.until(lambda: bench.sender.sent)
        bench.clock.now_s += 1_000
        other = bench.add("b")
        await bench.until(lambda: "b" in bench.sender.hosts())
        bench.settling = True
        await bench.until(lambda: bench.of(sent).status is bench.of(other[0]).status is DeliveryStatus.DELIVERED)
    assert sorted(bench.sender.hosts()) == ["a", "b"]


async def test_what_was_on_its_way_at_the_end_is_sent_again_under_its_id(bench):
    (sent,) = bench.add("a")
    bench.sender.hanging["a"] = asyncio.Event()
    async with bench.running():
        await bench.until(lambda: bench.sender.sent)
    bench.sender.hanging.clear()
    async with bench.running():
        await bench.until(lambda: bench.of(sent).status is DeliveryStatus.DELIVERED)
    assert [headers["webhook-id"] for _, headers, _ in bench.sender.sent] == [sent, sent]


async def test_what_is_over_is_pruned_every_minute(bench):
    async with bench.running():
        await bench.until(lambda: bench.later() and bench.pruned)


async def test_very_much_that_is_over_goes_at_once(bench):
    bench.to_prune = [1_000] * 50
    async with bench.running():
        await bench.until(lambda: bench.later() and bench.pruned)
        await bench.until(lambda: len(bench.pruned) > 50, what="it to be pruned until nothing is left")
