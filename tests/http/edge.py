"""Our routes over real HTTP, with the real service and the memory store; ComfyUI's side is fakes.

Owns the wiring of that small app. A test moves jobs along through `store` as a machine would.
"""

from __future__ import annotations

import asyncio
import copy
import itertools
import json
import uuid
from pathlib import Path

from aiohttp import web
from prometheus_client import CollectorRegistry

from expeditor.dispatch.runs import RunTable
from expeditor.events.changes import JobChanges
from expeditor.events.hub import Hub
from expeditor.events.mailbox import Mailbox
from expeditor.events.post import PostOffice
from expeditor.events.streams import Passing, StreamLimits, Streams
from expeditor.host.files import OutputFinder
from expeditor.host.uploads import InputUploads
from expeditor.intake.admission import Pace
from expeditor.intake.batch_entries import BatchEntries
from expeditor.intake.batch_preview import BatchPreviews
from expeditor.intake.batch_views import BatchViews
from expeditor.intake.batches import BatchRules, BatchService
from expeditor.intake.bulk import BulkService
from expeditor.intake.cancelling import Canceller
from expeditor.intake.ceilings import Ceilings
from expeditor.intake.deliveries import DeliveryService
from expeditor.intake.flow import Flow
from expeditor.intake.holding import HeldRequests
from expeditor.intake.idempotency import Repeats, Reservations
from expeditor.intake.job_outputs import JobOutputs
from expeditor.intake.job_views import JobViews
from expeditor.intake.judges import Judges
from expeditor.intake.operations import QueueOperations
from expeditor.intake.redriving import Redriver
from expeditor.intake.service import JobService
from expeditor.intake.tokens import Tokens
from expeditor.intake.upload_names import STORED
from expeditor.intake.uploads import UploadDesk, UploadLimits
from expeditor.intake.validation import Checked
from expeditor.intake.workers import WorkerService
from expeditor.jobs.awaiting import Awaiter
from expeditor.jobs.entry import CoreVerdict
from expeditor.jobs.errors import Fault, InvalidPrompt
from expeditor.jobs.estimate import signature
from expeditor.jobs.instances import Instance, InstanceState
from expeditor.jobs.model import NewJob, Payload
from expeditor.jobs.principals import PrincipalRules
from expeditor.jobs.webhook_rules import WebhookRules
from expeditor.routes.batches import BatchRoutes
from expeditor.routes.deliveries import DeliveryRoutes
from expeditor.routes.events import EventRoutes
from expeditor.routes.guard import token_guard
from expeditor.routes.jobs import JobRoutes
from expeditor.routes.messages import MessageRoutes
from expeditor.routes.metrics import MetricsRoutes
from expeditor.routes.operations import OperationRoutes
from expeditor.routes.outputs import OutputRoutes
from expeditor.routes.spec import SpecRoutes
from expeditor.routes.status import StatusRoutes
from expeditor.routes.table import RouteSets, route_table
from expeditor.routes.tokens import TokenRoutes
from expeditor.routes.workers import WorkerRoutes
from expeditor.store.sqlite.deliveries import SqliteDeliveries
from expeditor.telemetry.metrics import Metrics
from tests.conformance.harness import MemoryStorage
from tests.http.company import FakeInstances, FakeRoster
from tests.support.clocks import HandMonotonic
from tests.support.depth import depth
from tests.unit.dispatch.made import FakeInterrupter, FakeObserver

PROMPT = {"1": {"class_type": "A", "inputs": {}}, "2": {"class_type": "B", "inputs": {"x": ["1", 0]}}}
MAX_BYTES = 20_000
MAX_WAITING = 200
MAX_BATCH_JOBS = 100
MAX_BATCH_BYTES = 100_000
MAX_WAIT_S = 120
MAX_UPLOAD_BYTES = 1_000_000
HEARTBEAT_S = 0.2


class FakeValidation:
    """Takes every object for a good prompt; has one class with a schema."""

    def submit(self, prompt):
        if not isinstance(prompt, dict):
            raise InvalidPrompt("No graph.", faults=(Fault("/prompt", "INVALID_PROMPT", "No graph."),))
        return Checked(copy.deepcopy(prompt))

    def recheck(self, prompt, changed):
        return True

    def declared(self, class_type):
        return None

    def schema(self, class_type):
        return {"title": "A"} if class_type == "A" else None

    def schemas(self):
        return {"title": "prompts"}


class FakeCore:
    """ComfyUI's validation with the verdict it is told."""

    def __init__(self) -> None:
        self.error = None
        self.node_errors = {}
        self.targets = []

    def own(self):
        return None

    async def validate(self, prompt_id, prompt, targets):
        self.targets.append(targets)
        valid = self.error is None
        return CoreVerdict(valid, self.error, tuple(targets or ("2",)), self.node_errors)


class FakeDoor:
    """Puts entries straight into the store, if there is room; notes what it is told; fails when told to.

    Waits for `before` in front of the store, and for `after` once the job is committed, where they are set.
    """

    def __init__(self, store, clock, depth, roster) -> None:
        self.roster = roster
        self._store = store
        self._depth = depth
        self._clock = clock
        self.entries = []
        self.woken = 0
        self.failure: Exception | None = None
        self.before: asyncio.Event | None = None
        self.after: asyncio.Event | None = None

    async def enter(self, entry):
        (job,) = await self._enter_all((entry,), self._depth_of_one, lambda jobs: self._store.enqueue(jobs[0]))
        return job

    async def enter_all(self, batch, entries):
        return await self._enter_all(entries, self._depth.enter_all, lambda jobs: self._store.enqueue_all(batch, jobs))

    def _depth_of_one(self, jobs):
        return self._depth.enter(jobs[0], refusable=True)

    async def _enter_all(self, entries, take_room, enqueue):
        self.entries.extend(entries)
        if self.before is not None:
            await self.before.wait()
        if self.failure is not None:
            raise self.failure
        jobs = [self._new_job(entry) for entry in entries]
        commit_done = take_room(jobs)
        commit = enqueue(jobs)
        commit.add_done_callback(lambda _: commit_done())
        entered = await asyncio.wrap_future(commit)
        if self.after is not None:
            await self.after.wait()
        return entered if isinstance(entered, tuple) else (entered,)

    def _new_job(self, entry):
        return NewJob(
            id=entry.prompt_id,
            principal=entry.principal,
            priority=entry.priority,
            source=entry.source,
            created_at_s=self._clock(),
            number=entry.number or 0.0,
            payload=Payload(json.dumps(entry.prompt), "{}", "[]"),
            front=entry.front,
            client_id=entry.extra_data.get("client_id"),
            metadata=entry.metadata,
            signature=signature(entry.prompt),
            node_count=len(entry.prompt),
            request_key=entry.request_key,
            not_before_s=entry.not_before_s,
            expires_at_s=None if entry.expires_in_s is None else self._clock() + entry.expires_in_s,
            max_attempts=entry.max_attempts,
            slot=entry.slot,
            webhook=entry.webhook,
            pool=entry.pool or self.roster.usual(),
        )

    def wake(self):
        self.woken += 1


class App:
    """The app's parts in reach of a test. `health` and `not_ready` are what the status routes are told; `folders` are ComfyUI's."""

    staging = Path("/dev/null/no folder: set one before the app is made")

    def __init__(self, tokens: Tokens | None = None) -> None:
        self.tokens = tokens or Tokens()
        self.storage = MemoryStorage()
        self.store = self.storage.start()
        self.clock = self.storage.clock
        self.mailbox = Mailbox(self.clock, lambda: uuid.uuid4().hex)
        self.core = FakeCore()
        self.flow = Flow()
        self.depth = depth(jobs=MAX_WAITING, pace=Pace(jobs_per_s=0.5, busy_ratio=1.0), flow=self.flow)
        self.changes, self.hub, self.storage.ears.on_publish = JobChanges(), Hub(), self._published
        self.roster = FakeRoster("default", "gpu-24g")
        self.door = FakeDoor(self.store, self.clock, self.depth, self.roster)
        self.interrupter = FakeInterrupter()
        self.monotonic = HandMonotonic()
        self.runs = RunTable(interrupter=self.interrupter, observer=FakeObserver(), monotonic=self.monotonic)
        self.folders: dict[str, str] = {}
        self.uploads = self._uploads()
        self.outbox = SqliteDeliveries(None, self.clock, longest_delay_s=100_000.0)  # a test that needs it opens it
        self.outbox_woken, self.health = 0, {"status": "ok"}
        self.not_ready: str | None = None
        self.clients: list[object] = []
        validation = self.validation()
        self.awaiter = Awaiter(10.0)
        self.streams = Streams(self.hub, self.store, self.awaiter, StreamLimits(streams=3, buffer=8, patience_s=0.5))
        self.reservations = Reservations(10.0)
        self.views = JobViews(
            store=self.store,
            runs=self.runs,
            flow=self.flow,
            clock=self.clock,
            awaiter=self.awaiter,
            roster=self.roster,
        )
        self.canceller = Canceller(self.store, self.runs)
        self.redriver = Redriver(self.store, self.awaiter)
        numbers = itertools.count(1)
        self.new_id = lambda: f"00000000-0000-4000-8000-{next(numbers):012d}"
        self.bulk = BulkService(
            store=self.store,
            views=self.views,
            canceller=self.canceller,
            redriver=self.redriver,
            awaiter=self.awaiter,
        )
        self.service = self._service(validation)
        self.queue = self._queue()
        self.instances = FakeInstances(self.instance, self.queue)
        self.web = web.Application(client_max_size=100 * 1024 * 1024)
        self.rows = route_table(self._sets(validation), guard=token_guard(self.tokens))
        self.web.router.add_routes(self.rows)

    def _sets(self, validation):
        jobs = JobRoutes(
            self.service,
            validation,
            HeldRequests(self.changes, self.views, look_every_s=0.05),
            self.uploads,
            max_bytes=MAX_BYTES,
            max_wait_s=MAX_WAIT_S,
            user_header="X-User",
            note_client_id=self.clients.append,
        )
        metrics = MetricsRoutes(
            Metrics(CollectorRegistry(), clock=self.clock),
            lambda: asyncio.wrap_future(self.store.summary()),
            deadline_s=5.0,
        )
        return RouteSets(
            jobs=jobs,
            batches=self._batches(validation),
            outputs=OutputRoutes(JobOutputs(self.views, OutputFinder(self.folders.get))),
            operations=OperationRoutes(self.queue, self.bulk, max_bytes=MAX_BYTES),
            status=StatusRoutes(lambda: self.health, lambda: self.not_ready),
            messages=MessageRoutes(PostOffice(self.mailbox, self.clock)),
            metrics=metrics,
            tokens=TokenRoutes(self.tokens),
            events=EventRoutes(self.streams, self.service, heartbeat_s=HEARTBEAT_S, headers={"X-More": "yes"}),
            spec=SpecRoutes("0.0.0"),
            deliveries=DeliveryRoutes(self._deliveries(), max_bytes=MAX_BYTES),
            workers=WorkerRoutes(WorkerService(self.instances, "here")),
        )

    def instance(self):
        state = InstanceState.PAUSED if self.flow.paused and not self.flow.draining else self.flow.state
        return Instance("here", "boot", "http://here:8188", "0", "0", 0.0, self.clock(), state)

    def passing(self, kind, job_id, facts):
        """What a running job lets be seen, to give to the hub."""
        return Passing(kind, job_id, self.clock(), facts)

    def validation(self):
        return FakeValidation()

    def _batches(self, validation):
        limits = {"most_bytes": MAX_BATCH_BYTES, "clock": self.clock, "new_id": self.new_id}
        entries = BatchEntries(self.judges, validation, **limits)
        previews = BatchPreviews(
            store=self.store,
            entries=entries,
            depth=self.depth,
            flow=self.flow,
            new_id=self.new_id,
            awaiter=self.awaiter,
            roster=self.roster,
        )
        service = BatchService(
            rules=BatchRules(MAX_BATCH_JOBS, validation.declared),
            judges=self.judges,
            entries=entries,
            previews=previews,
            door=self.door,
            views=BatchViews(self.store, self.views, self.awaiter),
            bulk=self.bulk,
            repeats=Repeats(self.store, self.awaiter, self.reservations),
            clock=self.clock,
            new_id=self.new_id,
        )
        return BatchRoutes(
            service,
            OutputFinder(self.folders.get),
            max_bytes=MAX_BYTES,
            user_header="X-User",
            note_client_id=self.clients.append,
        )

    def _deliveries(self):
        return DeliveryService(self.outbox, self.awaiter, self.clock, self._woken)

    def _woken(self):
        self.outbox_woken += 1

    def _published(self, events):
        for subscriber in (self.depth, self.changes, self.hub):
            subscriber.publish(events)

    def _uploads(self):
        folder = InputUploads(self.folders.get, self.staging, STORED)
        return UploadDesk(folder, UploadLimits(files=3, size_bytes=MAX_UPLOAD_BYTES))

    def _service(self, validation):
        self.judges = Judges(
            validation=validation,
            core=self.core,
            depth=self.depth,
            principals=PrincipalRules(user_header="X-User", proxies=("127.0.0.1",)),
            ceilings=Ceilings(10, {"junior": 5, "grace": 2, "shop": 7}, {"shop": 6}),
            tokens=self.tokens,
            webhooks=WebhookRules(hosts=("*.example.com", "10.*", "127.*")),
            roster=self.roster,
        )
        return JobService(
            store=self.store,
            judges=self.judges,
            door=self.door,
            views=self.views,
            canceller=self.canceller,
            redriver=self.redriver,
            clock=self.clock,
            new_id=self.new_id,
            awaiter=self.awaiter,
            repeats=Repeats(self.store, self.awaiter, self.reservations),
        )

    def _queue(self):
        return QueueOperations(
            store=self.store,
            door=self.door,
            flow=self.flow,
            depth=self.depth,
            runs=self.runs,
            bulk=self.bulk,
            clock=self.clock,
            awaiter=self.awaiter,
            roster=self.roster,
        )


async def refusal(response):
    """Status, code and pointers of a refusal; the code must stand in all three places."""
    body = await response.json()
    code = body["error"]["code"]
    assert (response.headers["X-Expeditor-Code"], response.reason) == (code, code)
    return response.status, code, [fault["pointer"] for fault in body["error"]["errors"]]
