"""The swapped queue on ComfyUI's real `PromptQueue`, over the memory store and the real dispatcher: what `queue_cases.py` works with.

Imported only in the process of `test_queue_inprocess.py`, whose `sys.path` begins with ComfyUI's tree (COMFYUI_DIR):
importing `execution` fills a process with ComfyUI.
"""

from __future__ import annotations

import os
import sys
from concurrent.futures import Future

sys.path.insert(0, os.environ["COMFYUI_DIR"])
_arguments, sys.argv = sys.argv, [sys.argv[0], "--cpu"]
import comfy.options

comfy.options.enable_args_parsing()
import execution

sys.argv = _arguments

from expeditor.dispatch.dispatcher import Dispatcher, RetryRules
from expeditor.dispatch.retrying import RetryPolicy
from expeditor.dispatch.runs import RunTable
from expeditor.host.context import COMMITS, SUBMISSION, Submission
from expeditor.host.elsewhere import Elsewhere
from expeditor.host.endings import Endings
from expeditor.host.farewells import Farewells
from expeditor.host.inbound import Inbound
from expeditor.host.listing import Listing
from expeditor.host.outbound import Outbound
from expeditor.host.ownership import swap_queue
from expeditor.host.wiring import QueueWiring, Told
from expeditor.jobs.causes import CauseTable
from expeditor.jobs.homing import home_of, rewritten
from expeditor.jobs.model import Cause, Principal, Source
from expeditor.jobs.relayed import MESSAGE, PICTURE
from tests.conformance.harness import done
from tests.support.clocks import HandMonotonic
from tests.support.depth import depth
from tests.support.waiting import wait_until
from tests.unit.dispatch.made import FakeFiles, FakeInterrupter, FakeObserver

STATUS = execution.PromptQueue.ExecutionStatus
SUCCESS = STATUS("success", True, [("execution_start", {}), ("execution_success", {})])


class FakeServer:
    """Counts how often clients would be told the queue's length, and notes what goes out on its one client's socket."""

    def __init__(self) -> None:
        self.told = 0
        self.sent: list[tuple[str, str]] = []
        self.sockets = {"ada": object()}
        self.prompt_queue: object = None

    def send_sync(self, event, data, sid=None):
        self.sent.append((event, data["prompt_id"]))

    def queue_updated(self):
        self.told += 1


class FakeHeldLine:
    """A store in front of the real one: while `held`, nothing is committed; `failure` is every commit's end."""

    def __init__(self, store) -> None:
        self._store = store
        self.held: list[Future] | None = None
        self.failure: Exception | None = None

    def enqueue(self, job):
        future: Future = Future()
        if self.failure is not None:
            future.set_exception(self.failure)
            return future
        if self.held is None:
            return self._store.enqueue(job)
        self.held.append(future)
        return future

    def enqueue_all(self, batch, jobs):
        future: Future = Future()
        if self.failure is not None:
            future.set_exception(self.failure)
            return future
        if self.held is None:
            return self._store.enqueue_all(batch, jobs)
        self.held.append(future)
        return future

    def cancel(self, job_id, cause=Cause.CANCELED):
        if self.failure is not None:
            future: Future = Future()
            future.set_exception(self.failure)
            return future
        return self._store.cancel(job_id, cause)

    def payload(self, job_id):
        return self._store.payload(job_id)

    def history(self, job_id):
        return self._store.history(job_id)

    def forget_history(self, job_ids=None):
        return self._store.forget_history(job_ids)


class FakeHandover:
    """Says how results are named at home; brings nothing."""

    def __init__(self, name) -> None:
        self._place = home_of(name)

    def deliver(self, job_id, node_outputs):
        done: Future = Future()
        done.set_result(rewritten(node_outputs, self._place))
        return done


class Bench:
    """A swapped queue with everything around it in reach."""

    def __init__(self, storage, most=0, name=None, relay=None) -> None:
        """``name`` and ``relay``: of one of several instances."""
        self.storage = storage
        self.store = storage.start()
        self.line = FakeHeldLine(self.store)
        self.server = FakeServer()
        self.runs = RunTable(interrupter=FakeInterrupter(), observer=FakeObserver(), monotonic=HandMonotonic())
        self.dispatcher = Dispatcher(
            store=self.store,
            runs=self.runs,
            files=FakeFiles(),
            observer=FakeObserver(),
            retries=RetryRules(CauseTable(), RetryPolicy(), lambda: 0.5),
            clock=storage.clock,
            monotonic=HandMonotonic(),
            deadline_s=10.0,
            draining=lambda: False,
        )
        self.depth = depth(jobs=most)
        self.endings = Endings()
        farewells = Farewells(self.server, self.endings, HandMonotonic(), storage.clock)
        self.later = []
        self.inbound = Inbound(self.server, lambda wait_s, then: self.later.append(then))
        elsewhere = Elsewhere(farewells, self.inbound, storage.clock)
        self.listing = Listing(self.server, farewells, storage.clock, None if name is None else elsewhere)
        self.outbound = None
        if name is not None:
            self.outbound = Outbound(self.server, relay, FakeHandover(name), HandMonotonic())
            relay.listen(MESSAGE, self.inbound.heard_message)
            relay.listen(PICTURE, self.inbound.heard_picture)
        storage.ears.on_publish = self.hear
        self.wiring = QueueWiring(
            line=self.line,
            depth=self.depth,
            dispatch=self.dispatcher,
            clock=storage.clock,
            told=Told(self.endings, farewells, 100_000),
            origin=name,
            abroad=self.outbound,
        )
        self.native = self.server.prompt_queue = execution.PromptQueue(self.server)
        self.queue = swap_queue(self.native, self.wiring)
        self.queue.open_claims()

    def hear(self, events):
        self.depth.publish(events)
        self.listing.publish(events)

    def put(self, job_id, priority=3, prompt=None, number=0, extra=None, *, commit=True):
        """Put as a request would, and wait for the commit unless told not to."""
        submission = Submission(Principal("ada"), Source.PROMPT, priority=priority)
        commits = []
        tokens = SUBMISSION.set(submission), COMMITS.set(commits)
        try:
            self.queue.put((number, job_id, prompt or {"1": {"class_type": "A", "inputs": {}}}, extra or {}, ["1"], {}))
        finally:
            SUBMISSION.reset(tokens[0])
            COMMITS.reset(tokens[1])
        if commit:
            commits[0].result(10)
            wait_until(lambda: not self.wiring.uncommitted)

    def run_next(self, outputs=None):
        """As ComfyUI's worker thread: get, run, done. The id that ran, or None."""
        got = self.queue.get(timeout=0.01)
        if got is None:
            return None
        item, counter = got
        self.queue.task_done(counter, {"outputs": outputs or {}, "meta": {}}, status=SUCCESS)
        return item[1]

    def status(self, job_id):
        return done(self.store.get(job_id)).status

    def listed(self):
        return [item[1] for item in self.queue.queue]
