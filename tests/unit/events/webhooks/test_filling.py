"""From events to messages: every wanted event once, whatever fails or ends in between. A real store and a real outbox."""

from __future__ import annotations

import asyncio
import contextlib
import json

import pytest

from expeditor.events.webhooks.filling import HELD_MAX, Filling, WebhookEars
from expeditor.events.webhooks.targets import Targets
from expeditor.jobs.deliveries import TargetOrigin
from expeditor.jobs.errors import StoreUnavailable
from expeditor.jobs.model import NewJob, Payload, Principal, Source, WebhookTarget
from expeditor.store.deliveries import DeliveryQuery
from expeditor.store.sqlite.deliveries import SqliteDeliveries
from tests.conformance.harness import SqliteStorage, claim, done
from tests.support.waiting import wait_until_async

OWN = WebhookTarget("https://own.example.com/")
ALL = ("job.queued", "job.started", "job.canceled")
SHOP = Principal("shop", trusted=True)


class BrokenOutbox:
    """A real outbox whose writing fails while `broken`; notes how often it was asked to write."""

    def __init__(self, outbox) -> None:
        self._outbox = outbox
        self.broken = False
        self.asked = 0

    def cursor(self):
        return self._outbox.cursor()

    def add(self, deliveries, cursor, at_s):
        self.asked += 1
        if self.broken:
            raise StoreUnavailable("disk full")
        return self._outbox.add(deliveries, cursor, at_s)


class Place:
    """A store, an outbox and the filling between them; `run` is one life of the process."""

    def __init__(self, folder) -> None:
        self.storage = SqliteStorage(folder)
        self.path = folder / "deliveries.sqlite3"
        self.targets = Targets()
        self.store = None
        self.filled = 0

    def boot(self):
        self.ears = WebhookEars(self.targets)
        self.storage.ears.on_publish = self.ears.publish
        self.store = self.storage.start()
        self.inner = SqliteDeliveries(self.path, self.storage.clock, longest_delay_s=1e6)
        self.inner.open()
        self.outbox = BrokenOutbox(self.inner)

    def stop(self):
        self.inner.close()
        self.storage.stop()

    def filling(self):
        return Filling(
            events=self.store,
            outbox=self.outbox,
            ears=self.ears,
            targets=self.targets,
            body=lambda event, job: json.dumps({"type": event.type, "number": event.number}),
            clock=self.storage.clock,
            filled=self._filled,
            again_s=0.01,
            note_every_s=0.05,
        )

    def _filled(self):
        self.filled += 1

    @contextlib.asynccontextmanager
    async def running(self, **options):
        task = asyncio.create_task(self.filling().run(**options))
        yield
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    def submit(self, job_id, webhook=OWN, principal=SHOP):
        clock = self.storage.clock
        job = NewJob(job_id, principal, 3, Source.SUBMIT, clock(), 1.0, Payload("{}", "{}", "[]"), webhook=webhook)
        return done(self.store.enqueue(job))

    def cancel(self, job_id):
        return done(self.store.cancel(job_id))

    def told(self):
        found = done(self.inner.page(DeliveryQuery(limit=500))).deliveries
        return [(each.message.job_id, each.message.event_type) for each in reversed(found)]

    async def until_told(self, *expected):
        await wait_until_async(lambda: self.told() == list(expected), 10, what=f"{expected}, not {self.told()}")

    async def until_dealt_with(self):
        await wait_until_async(
            lambda: done(self.inner.cursor()) == done(self.store.last_position()), 10, what="the cursor at the end"
        )


@pytest.fixture
def place(tmp_path):
    made = Place(tmp_path)
    made.boot()
    yield made
    made.stop()


async def test_an_end_is_told_and_nothing_else_by_default(place):
    async with place.running():
        place.submit("a")
        place.submit("b", webhook=None)
        claim(place.store)
        place.cancel("b")
        place.submit("c")
        place.cancel("c")
        await place.until_told(("c", "job.canceled"))
        await wait_until_async(lambda: place.filled == 1, 10, what="the worker to be woken once")


async def test_what_happened_before_is_read_from_the_log(place):
    for job_id in "abc":
        place.submit(job_id)
        place.cancel(job_id)
    async with place.running():
        await place.until_told(*((job_id, "job.canceled") for job_id in "abc"))


async def test_a_crash_at_any_moment_neither_loses_nor_doubles(place):
    place.targets = Targets(server=WebhookTarget("https://all.example.com/", ALL))
    place.stop()
    place.boot()
    expected = []
    for round_ in range(6):
        async with place.running():
            place.submit(f"{round_}-a", None)
            await asyncio.sleep(0)  # the task is cancelled at a point of its own choosing
        place.submit(f"{round_}-b", None)
        expected += [(f"{round_}-a", "job.queued"), (f"{round_}-b", "job.queued")]
        place.stop()
        place.boot()
    async with place.running():
        await place.until_told(*expected)
        await place.until_dealt_with()


async def test_an_outbox_that_fails_gets_it_all_later_in_order(place):
    async with place.running():
        await place.until_dealt_with()
        place.outbox.broken = True
        for job_id in "abc":
            place.submit(job_id)
            place.cancel(job_id)
        await wait_until_async(lambda: place.outbox.asked >= 3, 10, what="some tries")
        assert place.told() == []
        place.outbox.broken = False
        await place.until_told(*((job_id, "job.canceled") for job_id in "abc"))


async def test_more_than_the_ears_hold_is_read_from_the_log(place):
    place.submit("a")
    (event,) = place.storage.ears.events
    async with place.running():
        await place.until_dealt_with()
        cancelled = place.cancel("a")
        assert cancelled.id == "a"
        place.ears.publish((event,) * (HELD_MAX + 1))
        await place.until_told(("a", "job.canceled"))


async def test_the_position_is_noted_also_when_nobody_wants_what_happens(place):
    async with place.running():
        for job_id in "abc":
            place.submit(job_id, webhook=None)
        await place.until_dealt_with()
        assert place.filled == 0


async def test_a_queue_that_began_anew_is_read_from_its_start(place):
    done(place.inner.add([], 10_000, 0.0))
    place.submit("a")
    place.cancel("a")
    async with place.running():
        await place.until_told(("a", "job.canceled"))


async def test_after_a_damaged_outbox_only_what_is_recent_is_told_again(place):
    place.submit("old")
    place.cancel("old")
    place.storage.clock.now_s += 7_200
    place.submit("new")
    place.cancel("new")
    async with place.running(not_before_s=place.storage.clock() - 3_600):
        await place.until_told(("new", "job.canceled"))


# -- who is told -----------------------------------------------------------------------------------------------------------

TOKEN, SERVER = WebhookTarget("https://token.example.com/"), WebhookTarget("https://server.example.com/")


@pytest.mark.parametrize(
    ("webhook", "principal", "told"),
    [
        (OWN, SHOP, [TargetOrigin.JOB, TargetOrigin.TOKEN]),
        (None, SHOP, [TargetOrigin.TOKEN]),
        (None, Principal("shop"), [TargetOrigin.SERVER]),  # a client id that claims the token's name
        (OWN, Principal("other", trusted=True), [TargetOrigin.JOB, TargetOrigin.SERVER]),
        (TOKEN, SHOP, [TargetOrigin.JOB]),
    ],
)
def test_whom_an_end_is_told(place, webhook, principal, told):
    place.submit("a", webhook, principal)
    job = place.cancel("a")
    targets = Targets({"shop": TOKEN}, SERVER)
    assert [origin for _, origin in targets.of(job, "job.canceled")] == told
    assert targets.of(job, "job.queued") == ()
    assert TargetOrigin.JOB not in [origin for _, origin in Targets(per_job=False).of(job, "job.canceled")]


def test_one_url_named_twice_hears_of_what_either_asked_for(place):
    place.submit("a", WebhookTarget(TOKEN.url, ("job.queued",)))
    job = place.cancel("a")
    targets = Targets({"shop": TOKEN})
    assert len(targets.of(job, "job.queued")) == len(targets.of(job, "job.canceled")) == 1


@pytest.mark.parametrize(("origin", "signer"), [("own", "shop"), ("server", "")])
def test_a_tokens_secret_signs_what_is_told_for_it(place, origin, signer):
    place.submit("a", OWN if origin == "own" else None)
    job = place.cancel("a")
    event = place.storage.ears.events[-1].logged()
    targets = Targets(server=SERVER, signers=frozenset({"shop"}))
    made = targets.deliveries(event, job, lambda *_: "{}")
    assert [each.signer for each in made if (each.origin is TargetOrigin.SERVER) == (origin == "server")] == [signer]
