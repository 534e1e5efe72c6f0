"""Cases of the swapped queue on ComfyUI's real `PromptQueue`; run by `test_queue_inprocess.py` in a process of its own."""

from __future__ import annotations

import threading
import time

from tests.host.queue_bench import SUCCESS, Bench, FakeServer  # first: it makes ComfyUI importable

# isort: split
import execution
import nodes
import pytest
from comfy import model_management

from expeditor.host.context import COMMITS, SUBMISSION, Submission
from expeditor.host.ownership import foreign_owner
from expeditor.host.queue import ExpeditorQueue
from expeditor.jobs.errors import QueueFull, StoreUnavailable
from expeditor.jobs.model import JobStatus, NewJob, Payload, Principal, Source
from tests.conformance.harness import MemoryStorage, done
from tests.support.waiting import wait_until


@pytest.fixture
def bench():
    storage = MemoryStorage()
    yield Bench(storage)
    storage.stop()


def test_the_object_stays_and_only_its_class_changes(bench):
    assert bench.queue is bench.native
    assert isinstance(bench.native, ExpeditorQueue)
    assert foreign_owner(bench.native) is None


def test_a_patched_queue_is_somebody_elses():
    queue = execution.PromptQueue(FakeServer())
    assert foreign_owner(queue) is None
    queue.put = lambda item: None
    assert "replaced put" in foreign_owner(queue)


def test_jobs_run_by_priority_and_settle(bench):
    for job_id, priority in (("a", 3), ("b", 10), ("c", 1), ("d", 10)):
        bench.put(job_id, priority)
    assert bench.queue.get_tasks_remaining() == 4
    assert [bench.run_next() for _ in range(5)] == ["b", "d", "a", "c", None]
    assert {bench.status(job_id) for job_id in "abcd"} == {JobStatus.SUCCEEDED}
    assert list(bench.queue.get_history()) == ["b", "d", "a", "c"]
    assert bench.queue.get_tasks_remaining() == 0
    assert bench.server.told >= 8


def test_an_empty_queue_gives_none_on_timeout_and_when_a_flag_is_set(bench):
    assert bench.queue.get(timeout=0.01) is None
    got = []
    worker = threading.Thread(target=lambda: got.append(bench.queue.get(timeout=60)))
    worker.start()
    wait_until(lambda: bench.wiring.worker is worker)
    wait_until(lambda: bench.queue.set_flag("free_memory", True) or not worker.is_alive())
    assert got == [None]


def test_a_waiting_worker_takes_a_job_when_it_is_committed(bench):
    got = []
    worker = threading.Thread(target=lambda: got.append(bench.queue.get(timeout=60)))
    worker.start()
    bench.put("a")
    worker.join(10)
    assert got[0][0][1] == "a"


def test_nothing_is_claimed_before_claims_are_open(bench):
    bench.wiring.open = False
    bench.put("a")
    assert bench.run_next() is None
    bench.queue.open_claims()
    assert bench.run_next() == "a"


def test_a_job_is_listed_at_once_and_runs_only_once_committed(bench):
    bench.line.held = []
    bench.put("a", commit=False)
    assert bench.listed() == ["a"]
    assert bench.run_next() is None
    bench.line.held = None


def test_a_job_that_cannot_be_stored_is_taken_off_the_list(bench):
    bench.line.failure = StoreUnavailable("The disk is full.")
    bench.put("a", commit=False)
    assert (bench.listed(), bench.wiring.uncommitted) == ([], [])
    bench.line.failure = None
    bench.put("b")
    assert bench.run_next() == "b"


def test_a_full_line_refuses_a_request_and_keeps_nothing_of_it():
    bench = Bench(MemoryStorage(), most=2)
    bench.put("a")
    bench.put("b")
    told = bench.server.told
    with pytest.raises(QueueFull):
        bench.put("c")
    assert [item[1] for item in bench.queue.queue] == ["a", "b"]
    assert bench.server.told == told, "clients were told of a job that is not there"
    assert done(bench.store.get("c")) is None
    assert (bench.run_next(), bench.run_next()) == ("a", "b")
    bench.put("c")


def test_what_cannot_be_told_is_never_refused():
    bench = Bench(MemoryStorage(), most=1)
    bench.put("a")
    bench.queue.put((0, "b", {"1": {"class_type": "A", "inputs": {}}}, {}, ["1"], {}))
    left_behind = Submission(Principal("ada"), Source.PROMPT, answered=True)
    tokens = SUBMISSION.set(left_behind), COMMITS.set([])
    try:
        bench.queue.put((0, "c", {"1": {"class_type": "A", "inputs": {}}}, {}, ["1"], {}))
    finally:
        SUBMISSION.reset(tokens[0])
        COMMITS.reset(tokens[1])
    assert [bench.run_next(), bench.run_next(), bench.run_next()] == ["a", "b", "c"]


def test_a_job_that_cannot_be_stored_takes_no_place():
    bench = Bench(MemoryStorage(), most=1)
    bench.line.failure = StoreUnavailable("away")
    with pytest.raises(StoreUnavailable):
        bench.put("a")
    bench.line.failure = None
    bench.put("b")


def test_deleting_and_clearing_cancel_in_the_store(bench):
    for job_id in "abc":
        bench.put(job_id)
    assert bench.queue.delete_queue_item(lambda item: item[1] == "b") is True
    assert bench.queue.delete_queue_item(lambda item: item[1] == "b") is False
    assert bench.listed() == ["a", "c"]
    bench.queue.wipe_queue()
    assert bench.listed() == []
    assert {bench.status(job_id) for job_id in "abc"} == {JobStatus.CANCELED}
    assert bench.run_next() is None


def test_a_deletion_that_the_store_refuses_leaves_the_job_listed_and_it_runs(bench):
    bench.put("a")
    bench.put("b")
    bench.line.failure = StoreUnavailable("The disk is full.")
    assert bench.queue.delete_queue_item(lambda item: item[1] == "a") is True
    bench.queue.wipe_queue()
    assert {item[1] for item in bench.queue.queue} == {"a", "b"}
    bench.line.failure = None
    assert [bench.run_next(), bench.run_next()] == ["a", "b"]


def test_a_job_deleted_between_claim_and_start_does_not_run(bench):
    bench.put("a")
    bench.put("b")
    claims = bench.dispatcher.claim

    class FakeSlowDispatch:
        """The real dispatcher; somebody clears the queue just after a claim."""

        owes = bench.dispatcher.owes
        finish, refuse, withdraw = bench.dispatcher.finish, bench.dispatcher.refuse, bench.dispatcher.withdraw
        again_now, settled, lost = bench.dispatcher.again_now, bench.dispatcher.settled, bench.dispatcher.lost

        def claim(self, **how):
            claimed = claims(**how)
            if claimed is not None and claimed.job.id == "a":
                bench.queue.delete_queue_item(lambda item: item[1] == "a")
            return claimed

    bench.wiring.dispatch = FakeSlowDispatch()
    assert bench.run_next() == "b"
    assert (bench.status("a"), bench.status("b")) == (JobStatus.CANCELED, JobStatus.SUCCEEDED)


def test_a_claimed_job_that_is_not_listed_runs_from_what_is_stored(bench):
    bench.put("a")
    bench.queue.queue.clear()  # as when another pack tampered with the list
    bench.put("b", priority=1)
    assert [bench.run_next(), bench.run_next()] == ["a", "b"]
    assert bench.status("a") is JobStatus.SUCCEEDED


def test_a_prompt_that_cannot_be_copied_is_refused_and_the_next_one_runs(bench):
    deep: dict = {}
    for _ in range(20_000):
        deep = {"x": deep}
    bench.put("deep", prompt={"1": {"class_type": "A", "inputs": deep}})
    bench.put("b")
    assert bench.run_next() == "b"
    assert bench.status("deep") is JobStatus.FAILED
    wait_until(lambda: bench.queue.get_history("deep"))
    assert bench.queue.get_history("deep")["deep"]["status"]["status_str"] == "error"
    assert bench.queue.currently_running == {}


def test_a_store_that_is_away_costs_no_worker_and_no_job(bench):
    bench.put("a")
    bench.storage.stop()
    began_s = time.monotonic()
    assert bench.queue.get(timeout=0) is None
    assert time.monotonic() - began_s >= 0.5, "it does not spin while the store is away"
    assert bench.listed() == ["a"]
    bench.store.open()
    assert bench.run_next() == "a"


def test_history_can_always_be_written(bench):
    bench.put("a")
    bench.run_next({"9": {"odd": {1, 2}, "images": [{"filename": "x.png"}]}})
    assert bench.queue.get_history("a")["a"]["outputs"]["9"]["odd"] == "{1, 2}"
    assert [output.name for output in done(bench.store.get("a")).outputs] == ["x.png"]


def test_a_job_without_a_client_runs_under_a_synthetic_one_and_is_listed_as_it_was(bench):
    bench.put("a")
    item, counter = bench.queue.get(timeout=0.01)
    assert item[3] == {"client_id": "expeditor.no-client.a"}
    running, _ = bench.queue.get_current_queue()
    assert running[0][3] == {}
    bench.queue.task_done(counter, {"outputs": {}, "meta": {}}, status=SUCCESS, process_item=lambda it: it[:5])
    assert bench.queue.get_history("a")["a"]["prompt"][3] == {}


def test_only_the_running_job_is_interrupted(bench):
    bench.put("a")
    bench.put("b")
    _, counter = bench.queue.get(timeout=0.01)
    nodes.interrupt_processing(False)
    assert bench.queue.interrupt("b") is False
    nodes.before_node_execution()
    assert bench.queue.interrupt("a") is True
    with pytest.raises(model_management.InterruptProcessingException):
        nodes.before_node_execution()
    bench.queue.task_done(counter, {"outputs": {}, "meta": {}}, status=SUCCESS)


def test_after_standing_down_it_is_cores_queue_on_the_same_list(bench):
    bench.put("a", priority=1, number=1)
    bench.put("b", priority=10, number=2)
    bench.queue.stand_down()
    bench.queue.put((0, "c", {}, {}, [], {}))
    assert [bench.run_next() for _ in range(3)] == ["c", "a", "b"]
    assert done(bench.store.get("c")) is None


def test_a_job_that_expires_leaves_the_list_and_one_that_is_redriven_comes_back(bench):
    new = NewJob(
        id="a",
        principal=Principal("ada"),
        priority=3,
        source=Source.SUBMIT,
        created_at_s=bench.storage.clock.now_s,
        number=0.0,
        payload=Payload('{"1": {"class_type": "A", "inputs": {}}}', '{"client_id": "ada"}', '["1"]'),
        client_id="ada",
        expires_at_s=bench.storage.clock.now_s + 5,
    )
    done(bench.store.enqueue(new))
    wait_until(lambda: bench.listed() == ["a"])
    bench.storage.clock.now_s += 10
    done(bench.store.tick())
    assert bench.listed() == []
    assert bench.server.sent == [("execution_error", "a"), ("executing", "a")]
    assert bench.queue.get_history("a")["a"]["status"]["messages"][0][1]["exception_type"] == "EXPIRED"
    done(bench.store.redrive("a"))
    wait_until(lambda: bench.listed() == ["a"])
    assert bench.queue.get_history("a") == {}, "its end was taken back"
    assert bench.run_next() == "a"
    assert bench.status("a") is JobStatus.SUCCEEDED
