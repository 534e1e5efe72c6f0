"""What the page shows of jobs that are tried again, fail, or are taken out of the queue: what it shows on stock ComfyUI."""

from __future__ import annotations

import json
import re

from playwright.sync_api import expect

from tests.browser.workflows import failing_workflow, gate_workflow
from tests.support.waiting import wait_until

RUNNING = re.compile(r"^\[\d+%\]")  # how the page's title begins while it shows a run
HEAR = """() => {
    window.heard = [];
    window.app.api.socket.addEventListener("message", (each) => { if (typeof each.data === "string") window.heard.push(each.data); });
}"""


def heard(editor, job_id: str) -> list[tuple[str, object]]:
    """What the socket told the page about a job: types, and the node each names."""
    messages = [json.loads(text) for text in editor.page.evaluate("window.heard")]
    return [
        (message["type"], message["data"].get("node"))
        for message in messages
        if message["data"].get("prompt_id") == job_id
    ]


def events(editor, job_id: str) -> list[str]:
    """Our own events that the socket told the page about a job."""
    messages = [json.loads(text) for text in editor.page.evaluate("window.heard")]
    return [message["data"]["type"] for message in messages if message["data"].get("job_id") == job_id]


def settle(editor) -> None:
    """The page has drawn what it heard."""
    editor.page.evaluate("() => new Promise((go) => requestAnimationFrame(() => requestAnimationFrame(go)))")


def run_gate(editor, name: str) -> str:
    """A job that runs until its gate is opened, and is seen to run."""
    editor.load(gate_workflow(name))
    job_id = editor.run_with_priority(5)
    expect(editor.page).to_have_title(RUNNING)
    return job_id


def test_a_job_that_fails_once_and_then_succeeds_shows_no_error(editor_with_test_nodes):
    editor = editor_with_test_nodes
    editor.page.evaluate(HEAR)
    editor.load(failing_workflow("ConnectionError", 1, "once"))
    job_id = editor.run_with_priority(5)
    job = editor.ended(job_id)
    assert (job["status"], job["attempt"]) == ("succeeded", 2)
    wait_until(lambda: ("executing", None) in heard(editor, job_id), what="the end on the page's socket")
    settle(editor)
    expect(editor.page.get_by_role("dialog")).to_have_count(0)
    expect(editor.page).not_to_have_title(RUNNING)
    assert "execution_error" not in dict(heard(editor, job_id))
    assert editor.history(job_id)["status"]["status_str"] == "success"

    editor.load(failing_workflow("ValueError", 1, "for good"))
    assert editor.ended(editor.run_with_priority(5))["status"] == "failed"
    expect(editor.page.get_by_role("dialog")).to_contain_text("out of reach")


def test_deleting_a_pending_job_leaves_the_progress_of_the_running_one_alone(editor_with_test_nodes):
    editor = editor_with_test_nodes
    editor.page.evaluate(HEAR)
    running = run_gate(editor, "open")
    editor.load(gate_workflow("never"))
    pending = editor.run_with_priority(5)
    editor.server.post("/queue", json={"delete": [pending]})
    assert editor.ended(pending)["status"] == "canceled"
    wait_until(lambda: "job.canceled" in events(editor, pending), what="the cancel on the page's socket")
    settle(editor)
    expect(editor.page).to_have_title(RUNNING)
    expect(editor.page.get_by_role("dialog")).to_have_count(0)
    assert editor.server.get(f"/expeditor/jobs/{running}").json()["status"] == "running"
    (editor.server.data_dir / "input" / "open").touch()
    assert editor.ended(running)["status"] == "succeeded"
    wait_until(lambda: ("executing", None) in heard(editor, pending), what="the canceled job's end, behind the run")
    expect(editor.page).not_to_have_title(RUNNING)


def test_a_paused_queue_shows_its_jobs_as_pending_and_no_progress(editor_with_test_nodes):
    editor = editor_with_test_nodes
    editor.server.post("/expeditor/queue/pause")
    (editor.server.data_dir / "input" / "open").touch()
    editor.load(gate_workflow("open"))
    job_id = editor.run_with_priority(5)
    editor.page.keyboard.press("q")
    expect(editor.page.get_by_text("Pending", exact=True)).to_be_visible()
    expect(editor.page).not_to_have_title(RUNNING)
    editor.server.post("/expeditor/queue/resume")
    assert editor.ended(job_id)["status"] == "succeeded"
    expect(editor.page.get_by_text("Pending", exact=True)).to_have_count(0)
