"""A waiting node's question on the canvas: asked, answered, still there after a reload, gone when it is over."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser.workflows import twice_waiting_workflow, waiting_workflow
from tests.support.waiting import wait_until


@pytest.fixture(params=[False, True], ids=["classic nodes", "nodes 2.0"])
def either_editor(request, editor):
    """The editor in both of its ways to draw nodes."""
    editor.set_setting("Comfy.VueNodes.Enabled", request.param)
    yield editor
    editor.set_setting("Comfy.VueNodes.Enabled", False)


def test_the_nodes_own_button_sends_the_text_that_the_job_passes_on(either_editor):
    editor = either_editor
    editor.load(waiting_workflow("Which animal?"))
    job_id = editor.run_with_priority(4)
    expect(editor.question("Which animal?")).to_be_visible()
    editor.send("Which animal?", "a <b>heron</b> é")
    assert editor.ended(job_id)["status"] == "succeeded"
    assert editor.shown_texts(job_id, "2") == ["a <b>heron</b> é"]
    expect(editor.page.locator(".expeditor-wait").get_by_role("status")).to_have_text("Sent")
    expect(editor.page.locator(".expeditor-wait").get_by_role("button", name="Send")).to_have_count(0)


def test_enter_in_the_field_sends_too_and_does_not_run_anything(editor):
    editor.load(waiting_workflow("By key?"))
    job_id = editor.run_with_priority(4)
    editor.question("By key?").fill("yes")
    editor.question("By key?").press("Enter")
    assert editor.ended(job_id)["status"] == "succeeded"
    assert editor.shown_texts(job_id, "2") == ["yes"]
    assert editor.jobs()[0]["id"] == job_id


def test_a_reload_keeps_the_question_and_its_answer_ends_the_job(editor):
    editor.load(waiting_workflow("Still there?"))
    job_id = editor.run_with_priority(4)
    expect(editor.question("Still there?")).to_be_visible()
    editor.reload()
    editor.load(waiting_workflow("Still there?"))
    expect(editor.question("Still there?")).to_be_visible()
    editor.send("Still there?", "after F5")
    assert editor.ended(job_id)["status"] == "succeeded"
    assert editor.shown_texts(job_id, "2") == ["after F5"]


def test_a_question_goes_when_its_job_is_cancelled(editor):
    editor.load(waiting_workflow("Cancelled?"))
    job_id = editor.run_with_priority(4)
    expect(editor.question("Cancelled?")).to_be_visible()
    assert editor.server.post(f"/expeditor/jobs/{job_id}/cancel").status_code == 200
    assert editor.ended(job_id)["status"] == "canceled"
    expect(editor.page.locator(".expeditor-wait").get_by_role("status")).to_have_text("No longer waits")
    expect(editor.question("Cancelled?")).to_have_count(0)
    assert editor.pending() == []


def test_a_question_of_a_job_that_came_over_http_is_asked_on_the_page_too(editor):
    editor.load(waiting_workflow("From a script?"))
    prompt = {
        "1": {
            "class_type": "WaitForMessage",
            "inputs": {"label": "From a script?", "timeout_s": 60, "default_message": "", "on_timeout": "fail"},
        },
        "2": {"class_type": "PreviewAny", "inputs": {"source": ["1", 0]}},
    }
    job_id = editor.server.post("/prompt", json={"prompt": prompt}).json()["prompt_id"]
    editor.send("From a script?", "from a person")
    editor.ended(job_id)
    assert editor.shown_texts(job_id, "2") == ["from a person"]


def test_two_waits_of_one_node_are_a_409_with_tokens_and_a_choice_on_the_page(editor):
    editor.load(twice_waiting_workflow("Which of two?"))
    job_id = editor.run_with_priority(4)
    waits = wait_until(lambda: found if len(found := editor.pending()) == 2 else None, what="two waits")
    status, body = editor.post_message(message="for whom?", node_id="3")
    assert (status, body["error"]["code"]) == (409, "CONFLICT")
    assert body["error"]["details"]["tokens"] == [wait["token"] for wait in waits]
    choice = editor.page.get_by_label("Job that asks")
    expect(choice.locator("option")).to_have_count(2)
    choice.select_option(waits[1]["token"])
    editor.send("Which of two?", "second")
    expect(choice).to_be_hidden()
    status, body = editor.post_message(message="first", node_id="3")
    assert (status, body["delivered"]) == (200, True)
    assert editor.ended(job_id)["status"] == "succeeded"
    assert editor.shown_texts(job_id, "4") == ["first", "second"]


def test_the_second_answer_is_told_that_it_is_over(editor):
    editor.load(waiting_workflow("Race?"))
    job_id = editor.run_with_priority(4)
    expect(editor.question("Race?")).to_be_visible()
    token = editor.pending()[0]["token"]
    assert editor.post_message(message="one", node_id="1")[0] == 200
    assert editor.post_message(message="two", node_id="1", token=token)[0] == 410
    editor.ended(job_id)
    assert editor.shown_texts(job_id, "2") == ["one"]


def test_the_question_is_saved_neither_in_the_workflow_nor_in_the_prompt(editor):
    editor.load(waiting_workflow("Saved?"))
    expect(editor.page.locator(".expeditor-wait")).to_be_visible()
    graph = editor.page.evaluate("window.app.graphToPrompt()")
    assert graph["workflow"]["nodes"][0]["widgets_values"] == ["Saved?", 120, "", "use default"]
    assert set(graph["output"]["1"]["inputs"]) == {"label", "timeout_s", "default_message", "on_timeout"}


def test_after_a_crash_of_the_server_the_page_asks_again_without_a_reload(editor_of_its_own):
    editor = editor_of_its_own
    editor.load(waiting_workflow("Survives?"))
    job_id = editor.run_with_priority(4)
    expect(editor.question("Survives?")).to_be_visible()
    first = editor.pending()[0]["token"]
    editor.server.restart()
    again = wait_until(editor.pending, what="the recovered job's question")[0]
    assert (again["prompt_id"], again["token"] != first) == (job_id, True)
    offered = editor.page.locator(".expeditor-wait option")  # the dead server's question must not be offered any more
    wait_until(
        lambda: offered.evaluate_all("(all) => all.map((each) => each.value)") == [again["token"]],
        what="the new question alone",
    )
    editor.send("Survives?", "after a crash")
    assert editor.ended(job_id)["status"] == "succeeded"
    assert editor.shown_texts(job_id, "2") == ["after a crash"]
