"""Every command but `batch` against our own routes: what it prints, what it exits with, what it changes."""

from __future__ import annotations

import json
import uuid

import pytest

from expeditor.client.api import Expeditor
from expeditor.client.faults import EXIT_CODES
from expeditor.client.transport import Transport
from expeditor.jobs.model import Cause, JobError, JobStatus
from tests.conformance.harness import claim, done, ending
from tests.http.command_line import call, served, workflow
from tests.http.edge import PROMPT
from tests.http.v2_edge import V2App
from tests.support.comfy_server import free_port
from tests.support.served import LossyProxy, Machine, Served

pytestmark = pytest.mark.long


@pytest.fixture
def there():
    with served() as (edge, here):
        yield edge, here.url


@pytest.fixture
def file(tmp_path):
    return workflow(tmp_path)


def submitted(url, file, *options):
    said = call(url, "submit", file, "--json", *options)
    assert said.code == 0, said.err
    return said.json()


# -- submit --------------------------------------------------------------------------------------------------------------


def test_submit_prints_the_id_alone(there, file):
    edge, url = there
    said = call(url, "submit", file, "-p", "8", "--label", "album=summer", "--client-id", "ada")
    job_id = said.out.strip()
    assert (said.code, said.err) == (0, "")
    job = done(edge.store.get(job_id))
    assert (job.priority, job.metadata, job.principal.name) == (8, {"album": "summer"}, "ada")


def test_submit_reads_standard_input_and_sets_inputs(there):
    edge, url = there
    said = call(url, "submit", "-", "--set", "1.seed=5", "--set", "2.x=a=b", given=json.dumps({"prompt": PROMPT}))
    assert said.code == 0
    assert "node 1 has no input seed so far" in said.err
    (entry,) = edge.door.entries
    assert entry.prompt["1"]["inputs"] == {"seed": 5}
    assert entry.prompt["2"]["inputs"] == {"x": "a=b"}


def test_submit_passes_every_wish_on(there, file):
    edge, url = there
    options = ["--front", "--not-before", "2100-01-01T00:00:00Z", "--expires-in", "9e9", "--max-attempts", "2"]
    assert call(url, "submit", file, *options).code == 3, "a year is the most"
    options[4] = "3000"
    assert call(url, "submit", file, *options[:1], "--expires-in", "3000", "--max-attempts", "2").code == 0
    (entry,) = edge.door.entries
    assert (entry.front, entry.expires_in_s, entry.max_attempts) == (True, 3000.0, 2)


def test_the_same_key_is_the_same_job(there, file):
    edge, url = there
    key = str(uuid.uuid4())
    ids = {call(url, "submit", file, "--key", key).out for _ in range(3)}
    assert len(ids) == 1
    assert len(edge.door.entries) == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "is not JSON"),
        ("[]", "not a workflow in API format"),
        ("{}", "not a workflow in API format"),
        ('{"nodes": [], "links": []}', "Export it in API format"),
    ],
)
def test_a_file_that_is_no_workflow_is_never_sent(there, tmp_path, text, said):
    edge, url = there
    file = tmp_path / "x.json"
    file.write_text(text, encoding="utf-8")
    answer = call(url, "submit", str(file), "--json")
    assert (answer.code, answer.json()["error"]["code"]) == (2, "BAD_INPUT")
    assert said in answer.err
    assert edge.door.entries == []


@pytest.mark.parametrize(
    "wrong", [["--set", "seed=5"], ["--file", "1.image=/nowhere.png"], ["--key", "x"], ["--label", "x"], ["-p", "11"]]
)
def test_a_wrong_option_is_never_sent(there, file, wrong):
    edge, url = there
    assert call(url, "submit", file, *wrong).code == 2
    assert edge.door.entries == []


def test_a_refusal_tells_every_fault_and_is_not_repeated(there, tmp_path):
    edge, url = there
    with LossyProxy(int(url.rpartition(":")[2])) as proxy:
        said = call(proxy.url, "submit", workflow(tmp_path), "--json", "--not-before", "tomorrow", "--expires-in", "0")
        assert proxy.seen == 1
    assert said.code == 3
    error = said.json()["error"]
    assert (error["code"], error["status"]) == ("INPUT_INVALID", 422)
    assert [fault["pointer"] for fault in error["errors"]] == ["/not_before", "/expires_in_s"]
    assert "/not_before: " in said.err
    assert "/expires_in_s: " in said.err
    assert edge.door.entries == []


def test_a_lost_answer_is_asked_for_again_with_the_same_key(there, file):
    edge, url = there
    with LossyProxy(int(url.rpartition(":")[2])) as proxy:
        proxy.losses = 2
        said = call(proxy.url, "submit", file)
        assert (said.code, proxy.seen) == (0, 3)
    assert "asking again" in said.err
    assert len(edge.door.entries) == 1, "the first request had got in"
    assert done(edge.store.get(said.out.strip())) is not None


def test_a_server_that_is_not_there(file):
    said = call(f"http://127.0.0.1:{free_port()}", "submit", file, "--json", patience="0")
    assert said.code == 4
    assert said.json()["error"]["code"] == "UNREACHABLE"
    assert "Connection refused" in said.err


def test_a_full_queue_is_waited_for_and_then_given_up(there, file):
    edge, url = there
    call(url, "drain")
    said = call(url, "submit", file, "--json", patience="1")
    assert said.code == 5
    assert said.json()["error"]["code"] == "DRAINING"
    assert edge.door.entries == []


def test_submit_check_queues_nothing(there, file):
    edge, url = there
    assert call(url, "submit", file, "--check", "--json").json()["valid"] is True
    assert call(url, "submit", file, "--check").out.startswith("valid: 2 nodes")
    assert edge.door.entries == []


@pytest.mark.parametrize(("status", "code"), [(JobStatus.SUCCEEDED, 0), (JobStatus.FAILED, 1)])
def test_waiting_ends_with_the_jobs_end(there, file, status, code):
    edge, url = there
    with Machine(edge.store, lambda job: ending(status)):
        said = call(url, "submit", file, "--wait", "--json")
    assert (said.code, said.json()["status"]) == (code, status.value)


# -- looking --------------------------------------------------------------------------------------------------------------


def test_jobs_lists_filters_and_limits(there, file):
    edge, url = there
    ids = [submitted(url, file, "--label", f"n={n}")["id"] for n in range(3)]
    claim(edge.store)
    assert [job["id"] for job in call(url, "jobs", "--json").json()] == ids[::-1]
    assert [job["id"] for job in call(url, "jobs", "--json", "-n", "2").json()] == ids[:0:-1]
    assert [job["id"] for job in call(url, "jobs", "--json", "--status", "running").json()] == ids[:1]
    assert [job["id"] for job in call(url, "jobs", "--json", "--label", "n=1").json()] == [ids[1]]
    table = call(url, "jobs").out
    assert all(job_id in table for job_id in ids)
    assert call(url, "jobs", "--status", "nonsense").code == 3


def test_jobs_walks_pages(there, file):
    _, url = there
    ids = {submitted(url, file)["id"] for _ in range(5)}
    transport = Transport(url)
    try:
        server = Expeditor(transport)
        first = server.page(2)
        second = server.page(5, first.next_cursor)
        assert {job.id for job in (*first.jobs, *second.jobs)} == {job.id for job in server.jobs()} == ids
    finally:
        transport.close()


def test_job_says_why_it_waits(there, file):
    _, url = there
    first, second = (submitted(url, file)["id"] for _ in range(2))
    assert call(url, "job", first, "--json").json()["id"] == first
    said = call(url, "job", second)
    assert "2 in line" in said.out
    assert "waits: " in said.out
    assert call(url, "job", second, "--out", "x").code == 2, "it has not ended"


PRINTED = "\x1b]0;title\x07 [/] \x9b2J \u202e \ud800 grün"


def test_nothing_of_others_reaches_the_terminal_as_a_command(there, file):
    edge, url = there
    mine = submitted(url, file)["id"]
    error = JobError("NODE_ERROR", PRINTED, "1")
    done(
        edge.store.finish(
            mine, claim(edge.store).attempt, ending(JobStatus.FAILED, cause=Cause.NODE_ERROR, error=error)
        )
    )
    for arguments in (("jobs",), ("watch", mine), ("job", mine), ("job", mine, "--json")):
        said = call(url, *arguments)
        assert said.code in (0, 1), said.err
        assert not set(said.out + said.err) & set("\x1b\x07\x9b\u202e\ud800"), arguments
    assert "grün" in said.out
    assert said.json()["error"]["message"] == PRINTED, "a program gets it as it is"


@pytest.mark.parametrize("command", ["job", "cancel", "retry", "hold", "release", "watch"])
def test_an_unknown_job(there, command):
    _, url = there
    said = call(url, command, "a/../b?c")
    assert said.code == 3
    assert "NOT_FOUND" in said.err


# -- changing ----------------------------------------------------------------------------------------------------------


def test_jobs_are_moved_held_released_canceled_and_retried(there, file):
    _, url = there
    a, b = (submitted(url, file)["id"] for _ in range(2))
    assert call(url, "priority", b, "--to", "9", "--json").json()[0]["priority"] == 9
    assert call(url, "job", b, "--json").json()["position"] == 1
    assert call(url, "priority", a, "--front").code == 0
    assert call(url, "job", a, "--json").json()["position"] == 1
    assert [job["held"] for job in call(url, "hold", a, b, "--json").json()] == [True, True]
    assert call(url, "release", a, b).code == 0
    assert [job["status"] for job in call(url, "cancel", a, b, "--json").json()] == ["canceled", "canceled"]
    assert [job["status"] for job in call(url, "retry", a, "--json").json()] == ["queued"]


@pytest.mark.parametrize("wrong", [[], ["--to", "3", "--front"], ["--to", "0"]])
def test_a_priority_must_be_said_once(there, wrong):
    assert call(there[1], "priority", "x", *wrong).code == 2


def test_one_refusal_does_not_stop_the_others(there, file):
    _, url = there
    job_id = submitted(url, file)["id"]
    said = call(url, "cancel", "nope", job_id, "--json")
    assert said.code == 3
    assert [each.get("status") for each in said.json()] == [None, "canceled"]
    assert said.json()[0]["error"]["code"] == "NOT_FOUND"


def test_many_by_a_filter(there, file):
    _, url = there
    for name in ("ada", "ada", "bob"):
        submitted(url, file, "--client-id", name)
    assert call(url, "cancel", "--principal", "ada", "--json").json()["canceled"] == 2
    assert "1 canceled" in call(url, "cancel", "--all").out
    assert call(url, "retry", "--status", "canceled", "--json").json()["retried"] == 3
    assert call(url, "cancel").code == 2, "all is said, never meant by silence"
    assert call(url, "cancel", "x", "--all").code == 2


def test_the_queue_is_paused_resumed_and_drained(there, file):
    _, url = there
    submitted(url, file)
    assert call(url, "pause", "--json").json()["paused"] is True
    assert "1 waiting, 0 running (paused)" in call(url, "queue").out
    assert call(url, "resume", "--json").json()["paused"] is False
    assert call(url, "drain", "--json").json()["draining"] is True
    assert call(url, "queue", "--json").json()["draining"] is True
    assert call(url, "resume").code == 0


def test_instances_are_listed_paused_drained_and_resumed(there):
    edge, url = there
    listed = call(url, "workers")
    assert listed.code == 0
    assert "here" in listed.out
    assert "active" in listed.out
    told = call(url, "workers", "drain", "here", "--json").json()
    assert (told["wished"], told["workers"][0]["state"]) == ("draining", "draining")
    assert edge.flow.draining
    assert "here is active" in call(url, "workers", "resume", "--all").out
    assert not edge.flow.draining
    assert call(url, "workers", "pause", "elsewhere").code == 3
    assert call(url, "workers", "pause").code == 2
    assert call(url, "workers", "pause", "here", "--all").code == 2
    assert call(url, "workers", "stop", "here").code == 2
    assert edge.flow.state.value == "active"
    shown = call(url, "workers", "show", "here").out
    assert "node classes (2): A, B" in shown
    assert "models on disk (1): x.ckpt" in shown
    assert call(url, "workers", "show").code == 2


# -- doctor, help --------------------------------------------------------------------------------------------------------


def test_doctor_says_what_the_server_says_of_itself(there):
    edge, url = there
    edge.health, edge.not_ready = {"status": "degraded", "fault": "store: disk full"}, "store: disk full"
    said = call(url, "doctor", "--json")
    assert said.code == 1
    found = {finding["check"]: finding for finding in said.json()["findings"]}
    assert found["expeditor"]["state"] == found["ready"]["state"] == "bad"
    assert "disk full" in found["ready"]["message"]
    assert found["submit"]["state"] == "ok"
    assert found["socket"]["state"] == "bad", "the small app has no socket"
    assert said.json()["well"] is False


def test_doctor_says_where_the_official_sdks_find_their_api(there, tmp_path):
    def found(url):
        return next(each for each in call(url, "doctor", "--json").json()["findings"] if each["check"] == "sdk")

    assert found(there[1])["state"] == "warning", "the small app does not serve it"
    edge = V2App(tmp_path)
    with Served(edge.web) as here:
        assert found(here.url)["message"].endswith(f"COMFY_BASE_URL={here.url}")
    edge.storage.stop()


def test_doctor_of_a_server_that_is_not_there():
    said = call(f"http://127.0.0.1:{free_port()}", "doctor", "--json", patience="0")
    assert (said.code, [each["check"] for each in said.json()["findings"]]) == (4, ["reachable"])


def test_every_exit_code_has_a_meaning():
    assert set(EXIT_CODES) == {0, 1, 2, 3, 4, 5, 6, 130}
