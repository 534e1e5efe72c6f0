"""The action bar's button, its dialog and its key: the open workflow enters the queue with the chosen priority."""

from __future__ import annotations

from playwright.sync_api import expect

from tests.browser.workflows import text_workflow, waiting_workflow


def test_the_button_submits_the_open_workflow_with_the_chosen_priority_and_it_runs(editor):
    editor.load(text_workflow("from the page"))
    job_id = editor.run_with_priority(8)
    job = editor.ended(job_id)
    assert (job["status"], job["priority"]) == ("succeeded", 8)
    assert editor.shown_texts(job_id, "2") == ["from the page"]
    expect(editor.page.get_by_role("alert")).to_contain_text("Priority 8")
    expect(editor.page.get_by_role("alert")).to_contain_text(job_id[:8])
    editor.page.wait_for_function(
        "window.app.rootGraph.getNodeById(2).widgets?.some((w) => w.value === 'from the page')"
    )


def test_a_job_that_has_to_wait_is_told_its_place(editor):
    # A node that asks would not hold the line: its job is parked after a second.
    editor.server.post("/expeditor/queue/pause")
    editor.load(text_workflow("in line"))
    editor.run_with_priority(2)
    expect(editor.page.get_by_role("alert").filter(has_text="Priority 2, position 1")).to_be_visible()
    editor.run_with_priority(10)
    expect(editor.page.get_by_role("alert").filter(has_text="Priority 10, position 1")).to_be_visible()
    editor.run_with_priority(5)
    expect(editor.page.get_by_role("alert").filter(has_text="Priority 5, position 2")).to_be_visible()
    editor.server.post("/expeditor/queue/resume")


def test_the_job_carries_the_workflow_and_the_page_as_a_normal_run_does(editor):
    editor.load(text_workflow("with metadata"))
    job_id = editor.run_with_priority(3)
    editor.ended(job_id)
    extra = editor.history(job_id)["prompt"][3]
    assert [node["type"] for node in extra["extra_pnginfo"]["workflow"]["nodes"]] == ["PrimitiveString", "PreviewAny"]
    assert extra["client_id"] == editor.page.evaluate("window.app.api.clientId")


def test_the_keyboard_alone_is_enough(editor):
    editor.load(text_workflow("by keyboard"))
    known = len(editor.jobs())
    editor.page.keyboard.press("Control+Alt+KeyP")
    expect(editor.dialog.get_by_role("radio", name="3", exact=True)).to_be_focused()
    editor.page.keyboard.press("ArrowRight")
    editor.page.keyboard.press("ArrowRight")
    expect(editor.dialog.get_by_role("radio", name="5", exact=True)).to_be_checked()
    editor.page.keyboard.press("Enter")
    expect(editor.page.get_by_role("alert")).to_contain_text("Priority 5")
    expect(editor.dialog).to_have_count(0)
    jobs = editor.jobs()
    assert (len(jobs), jobs[0]["priority"]) == (known + 1, 5)
    editor.ended(jobs[0]["id"])


def test_escape_and_cancel_submit_nothing(editor):
    editor.load(text_workflow("never runs"))
    known = len(editor.jobs())
    editor.action_button.click()
    editor.page.keyboard.press("Escape")
    expect(editor.dialog).to_have_count(0)
    editor.action_button.click()
    editor.dialog.get_by_role("button", name="Cancel").click()
    expect(editor.dialog).to_have_count(0)
    assert len(editor.jobs()) == known


def test_letters_typed_in_the_dialog_do_not_reach_the_canvas(editor):
    editor.action_button.click()
    expect(editor.dialog).to_be_visible()
    editor.page.keyboard.press("w")  # outside, this opens the page's workflow list
    assert editor.page.evaluate("window.app.extensionManager.sidebarTab.activeSidebarTabId") is None
    editor.page.keyboard.press("Escape")


def test_the_setting_is_what_the_dialog_offers(editor):
    editor.set_setting("Expeditor.DefaultPriority", 6)
    try:
        editor.action_button.click()
        expect(editor.dialog.get_by_role("radio", name="6", exact=True)).to_be_checked()
        editor.page.keyboard.press("Escape")
    finally:
        editor.set_setting("Expeditor.DefaultPriority", 3)


def test_a_refusal_is_told_and_marks_the_node_until_the_next_run(editor):
    editor.load(waiting_workflow("Too long?", timeout_s=100_000_000))
    editor.page.evaluate("window.app.rootGraph.getNodeById(1).widgets.find((w) => w.name === 'timeout_s').value = 1e8")
    known = len(editor.jobs())
    editor.action_button.click()
    editor.dialog.get_by_role("button", name="Run", exact=True).click()
    alert = editor.page.get_by_role("alert").filter(has_text="The job was not accepted")
    expect(alert).to_contain_text("timeout_s")
    expect(alert).to_contain_text("Node 1")
    assert editor.page.evaluate("window.app.rootGraph.getNodeById(1).has_errors") is True
    assert not editor.page.evaluate("window.app.rootGraph.getNodeById(2).has_errors")
    assert len(editor.jobs()) == known
    editor.page.evaluate("window.app.rootGraph.getNodeById(1).widgets.find((w) => w.name === 'timeout_s').value = 100")
    editor.run_with_priority(3)
    assert editor.page.evaluate("window.app.rootGraph.getNodeById(1).has_errors") is False
