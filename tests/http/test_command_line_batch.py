"""`expeditor batch` against our own routes: nothing is lost and nothing runs twice, whatever cuts it off."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from expeditor.client.api import Expeditor
from expeditor.client.batching.items import LABEL, plan_of
from expeditor.client.batching.record import open_record
from expeditor.client.batching.runner import Options, Runner, Stopped, Stopper
from expeditor.client.sweeps import axes_of
from expeditor.client.transport import Transport
from expeditor.jobs.instances import InstanceState
from expeditor.jobs.model import JobError, JobStatus
from tests.conformance.harness import ending
from tests.http.command_line import call, served, workflow
from tests.http.edge import MAX_WAITING, PROMPT
from tests.support.served import LossyProxy, Machine

pytestmark = pytest.mark.long


@pytest.fixture
def there():
    with served() as (edge, here):
        yield edge, here.url


@pytest.fixture
def file(tmp_path):
    return workflow(tmp_path)


@pytest.fixture(params=[True, False], ids=["together", "singly"])
def way(request):
    """Options that have the batch sent in one request, or job by job."""
    return [] if request.param else ["--singly"]


def well(job):
    return ending()


def seeds(edge):
    """The seeds of all jobs that were let in."""
    return sorted(entry.prompt["1"]["inputs"]["seed"] for entry in edge.door.entries)


def manifest(folder):
    return json.loads((folder / "manifest.json").read_text("utf-8"))


def test_a_sweep_is_submitted_followed_and_listed(there, file, tmp_path, way):
    edge, url = there
    with Machine(edge.store, well):
        said = call(
            url, "batch", file, "--sweep", "1.seed=1..12", "-p", "7", "-o", str(tmp_path / "out"), "--json", *way
        )
    assert said.code == 0, said.err
    assert seeds(edge) == list(range(1, 13))
    assert {entry.priority for entry in edge.door.entries} == {7}
    told = manifest(tmp_path / "out")
    assert told == said.json()
    assert told["counts"] == {"succeeded": 12}
    assert [item["values"] for item in told["items"]] == [{"1.seed": seed} for seed in range(1, 13)]
    by_job = {entry.prompt_id: entry.prompt["1"]["inputs"]["seed"] for entry in edge.door.entries}
    assert [by_job[item["job"]] for item in told["items"]] == list(range(1, 13))
    assert {entry.metadata[LABEL] for entry in edge.door.entries} == {told["batch"]}


def test_run_again_it_submits_nothing_new(there, file, tmp_path, way):
    edge, url = there
    asked = ["batch", file, "--sweep", "1.seed=1..5", "-o", str(tmp_path / "out"), *way]
    with Machine(edge.store, well):
        assert call(url, *asked).code == 0
        said = call(url, *asked)
    assert said.code == 0
    assert "5 of 5 were submitted, 5 have ended" in said.err
    assert seeds(edge) == [1, 2, 3, 4, 5]


def test_submitted_alone_and_collected_later(there, file, tmp_path, way):
    edge, url = there
    asked = ["batch", file, "--sweep", "1.seed=1..5", "-o", str(tmp_path / "out"), *way]
    assert call(url, *asked, "--no-wait").code == 0
    assert manifest(tmp_path / "out")["counts"] == {"open": 5}
    with Machine(edge.store, well):
        assert call(url, *asked).code == 0
    assert manifest(tmp_path / "out")["counts"] == {"succeeded": 5}
    assert len(edge.door.entries) == 5


@pytest.mark.parametrize("losses", [1, 3])
def test_lost_answers_make_no_second_job(there, file, tmp_path, losses, way):
    edge, url = there
    marker, requests = (b"POST /expeditor/submit", 8) if way else (b"POST /expeditor/batches", 1)
    with LossyProxy(int(url.rpartition(":")[2]), marker) as proxy, Machine(edge.store, well):
        proxy.losses = losses
        said = call(
            proxy.url, "batch", file, "--sweep", "1.seed=1..8", "-o", str(tmp_path / "out"), *way, patience="30"
        )
        assert said.code == 0, said.err
        assert proxy.seen == requests + losses
    assert seeds(edge) == list(range(1, 9))


@pytest.mark.parametrize("noted", range(8))
def test_what_was_sent_and_not_noted_is_the_same_job_in_the_next_run(there, file, tmp_path, way, noted):
    """As after a power cut between the answer and the line in the record; ``noted`` lines survived."""
    edge, url = there
    out = tmp_path / "out"
    asked = ["batch", file, "--sweep", "1.seed=1..6", "-o", str(out), *way]
    call(url, *asked, "--no-wait")
    lines = (out / "batch.jsonl").read_bytes().splitlines(keepends=True)
    (out / "batch.jsonl").write_bytes(b"".join(lines[: 1 + noted]))
    with Machine(edge.store, well):
        assert call(url, *asked).code == 0
    assert seeds(edge) == [1, 2, 3, 4, 5, 6]
    assert manifest(out)["counts"] == {"succeeded": 6}


def test_a_refused_item_fails_alone(there, tmp_path, way):
    edge, url = there
    (tmp_path / "sizes.txt").write_text("small\n" + "x" * 30_000 + "\nalso small\n", encoding="utf-8")
    asked = [
        "batch",
        workflow(tmp_path),
        "--sweep",
        f"1.text=@{tmp_path / 'sizes.txt'}",
        "-o",
        str(tmp_path / "out"),
        *way,
    ]
    with Machine(edge.store, well):
        said = call(url, *asked)
    assert said.code == 1
    told = manifest(tmp_path / "out")
    assert [item["status"] for item in told["items"]] == ["succeeded", "refused", "succeeded"]
    assert "LIMIT_EXCEEDED" in told["items"][1]["error"]
    assert "item 2 refused" in said.err


def test_what_failed_runs_again_when_asked_to(there, file, tmp_path, way):
    edge, url = there
    failed = set()

    def once(job):
        (seed,) = (entry.prompt["1"]["inputs"]["seed"] for entry in edge.door.entries if entry.prompt_id == job.id)
        if seed in {2, 3} and job.id not in failed:
            failed.add(job.id)
            return ending(JobStatus.FAILED, error=JobError("NODE_ERROR", "the brush broke"))
        return ending()

    asked = ["batch", file, "--sweep", "1.seed=1..4", "-o", str(tmp_path / "out"), *way]
    with Machine(edge.store, once):
        first = call(url, *asked)
        jobs = {item["item"]: item["job"] for item in manifest(tmp_path / "out")["items"]}
        assert (first.code, manifest(tmp_path / "out")["counts"]) == (1, {"failed": 2, "succeeded": 2})
        assert "item 2 failed: the brush broke" in first.err
        again = call(url, *asked)
        assert (again.code, manifest(tmp_path / "out")["counts"]) == (1, {"failed": 2, "succeeded": 2}), (
            "only when asked to"
        )
        last = call(url, *asked, "--retry-failed")
    assert (last.code, manifest(tmp_path / "out")["counts"]) == (0, {"succeeded": 4})
    assert {item["item"]: item["job"] for item in manifest(tmp_path / "out")["items"]} == jobs, "under their ids"


def test_a_dry_run_counts_and_submits_nothing(there, file, tmp_path):
    edge, url = there
    asked = ["batch", file, "--sweep", "1.seed=1..7", "--sweep", "2.y=a,b", "-o", str(tmp_path / "out"), "--dry-run"]
    told = call(url, *asked, "--json").json()
    assert told["items"] == 14
    assert told["first"][1] == {"1.seed": 1, "2.y": "b"}
    assert told["about_s"] == 70.0, "five seconds each, as nothing is known of such jobs"
    edge.instances.beside = [
        replace(edge.instance(), name="there"),
        replace(edge.instance(), state=InstanceState.PAUSED),
    ]
    assert call(url, *asked, "--json").json()["about_s"] == 35.0, "two instances start jobs"
    assert edge.door.entries == []
    assert not (tmp_path / "out").exists()


def test_an_input_that_is_both_set_and_swept_is_a_mistake(there, file):
    assert call(there[1], "batch", file, "--set", "1.seed=1", "--sweep", "1.seed=1..2").code == 2


class QuietBoard:
    """Stands for the bars; stops the batch after so many submits."""

    def __init__(self, stop_after, stop):
        self._left, self._stop, self._lock = stop_after, stop, threading.Lock()

    def submitted(self):
        with self._lock:
            self._left -= 1
            if self._left == 0:
                self._stop()

    def settled(self, item, status, error):
        pass

    def running(self, jobs):
        pass


class LookedBoard(QuietBoard):
    """The same; says when the batch was looked at for the first time."""

    def __init__(self):
        super().__init__(0, lambda: None)
        self.looked = threading.Event()

    def running(self, jobs):
        self.looked.set()


class CountedStopper(Stopper):
    """The same; knows for how long it was slept."""

    def __init__(self):
        super().__init__()
        self.slept_s = 0.0

    def sleep(self, seconds):
        self.slept_s += seconds
        super().sleep(seconds)


def test_the_end_of_the_last_is_told_and_not_waited_for_by_the_clock(there, tmp_path):
    edge, url = there
    plan, board = plan_of(PROMPT, axes_of(["1.seed=1..3"], []), 1, {}), LookedBoard()
    transport, stopper = Transport(url), CountedStopper()
    with open_record(tmp_path / "out", plan.digest(), 3, url) as record, ThreadPoolExecutor(1) as pool:
        try:
            run = pool.submit(Runner(Expeditor(transport), plan, record, board, Options(tmp_path / "out"), stopper).run)
            assert board.looked.wait(20)
            with Machine(edge.store, well):
                run.result(60)
        finally:
            stopper.stop()
            transport.close()
    assert [record.standing(number).status for number in (1, 2, 3)] == ["succeeded"] * 3
    assert stopper.slept_s == 0


@pytest.mark.parametrize("workers", [1, 8])
def test_stopped_half_way_it_goes_on_where_it_was(there, tmp_path, workers):
    edge, url = there
    plan = plan_of(PROMPT, axes_of(["1.seed=1..40"], []), 1, {})
    transport = Transport(url)
    try:
        for stop_after in (5, 12, 1000):
            stopper = Stopper()
            with open_record(tmp_path / "out", plan.digest(), 40, url) as record, Machine(edge.store, well):
                options = Options(tmp_path / "out", workers, together=False, poll_s=0.01)
                board = QuietBoard(stop_after, stopper.stop)
                runner = Runner(Expeditor(transport), plan, record, board, options, stopper)
                if stop_after < 40:
                    with pytest.raises(Stopped):
                        runner.run()
                    assert len(edge.door.entries) < 40
                else:
                    runner.run()
                    assert all(record.standing(number).status == "succeeded" for number in range(1, 41))
    finally:
        transport.close()
    assert seeds(edge) == list(range(1, 41)), "each once"


def test_a_full_queue_is_waited_out_for_as_long_as_it_says(there, file, tmp_path):
    edge, url = there
    assert call(url, "batch", file, "--times", str(MAX_WAITING), "-o", str(tmp_path / "full"), "--no-wait").code == 0
    told, slept = [], []
    refused = threading.Event()

    def tell(text):
        told.append(text)
        refused.set()

    def sleep(seconds):
        slept.append(seconds)
        threading.Event().wait(0.01)

    plan = plan_of(PROMPT, axes_of(["1.seed=1..10"], []), 1, {})
    transport = Transport(url, tell=tell, sleep=sleep, busy_patience_s=None)
    try:
        with open_record(tmp_path / "out", plan.digest(), 10, url) as record, ThreadPoolExecutor(1) as pool:
            board = QuietBoard(0, lambda: None)
            options = Options(tmp_path / "out", poll_s=0.01)
            run = pool.submit(Runner(Expeditor(transport), plan, record, board, options, Stopper()).run)
            assert refused.wait(20)
            with Machine(edge.store, well):
                run.result(60)
    finally:
        transport.close()
    assert told[0].startswith("429 QUEUE_FULL; asking again in ")
    assert max(slept) >= 15, "room for a twentieth of 200 jobs at half a job a second"
    assert len(edge.door.entries) == MAX_WAITING + 10
