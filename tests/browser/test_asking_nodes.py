"""Pictures to approve and to choose of, on the page: in the node, in the panel, in another tab, after a reload, by keyboard."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser.editor import Editor
from tests.browser.workflows import approving_workflow, picking_workflow, text_workflow
from tests.support.waiting import wait_until

SEEN = "(all) => all.every((img) => img.complete && img.naturalWidth > 0)"


@pytest.fixture(params=[False, True], ids=["classic nodes", "nodes 2.0"])
def either_editor(request, editor):
    """The editor in both of its ways to draw nodes."""
    editor.set_setting("Comfy.VueNodes.Enabled", request.param)
    yield editor
    editor.set_setting("Comfy.VueNodes.Enabled", False)


@pytest.fixture
def other_tab(chromium, editor):
    """A second tab of the same person with another workflow."""
    page = chromium.new_page()
    tab = Editor(page, editor.server)
    tab.open()
    tab.load(text_workflow("another workflow"))
    yield tab
    page.close()
    assert tab.complaints == []


def seen(place, count):
    """All pictures are there and have been loaded."""
    pictures = place.locator(".expeditor-pictures img")
    expect(pictures).to_have_count(count)
    wait_until(lambda: pictures.evaluate_all(SEEN), what=f"{count} pictures")


def test_pictures_are_chosen_in_the_node_in_the_order_of_the_clicks(either_editor):
    editor = either_editor
    editor.load(picking_workflow("Which two?", least=2, most=2))
    job_id = editor.run_with_priority(4)
    seen(editor.in_node, 3)
    send = editor.in_node.get_by_role("button", name="Send")
    expect(send).to_be_disabled()
    for number in (3, 1):
        editor.in_node.get_by_role("button", name=f"Picture {number} of 3", exact=True).click()
    expect(editor.in_node.get_by_text("2 chosen, choose 2")).to_be_visible()
    expect(editor.in_node.get_by_text("left")).to_contain_text("1 min")
    expect(editor.in_node.get_by_role("button", name="Picture 2 of 3", exact=True)).to_have_attribute(
        "aria-pressed", "false"
    )
    send.click()
    assert editor.ended(job_id)["status"] == "succeeded"
    assert editor.shown_texts(job_id, "7") == ["2,0"]
    expect(editor.in_node.get_by_role("status")).to_have_text("Sent")


def test_pictures_are_approved_in_the_node_with_the_text_as_edited(either_editor):
    editor = either_editor
    editor.load(approving_workflow("Good enough?", "a heron"))
    job_id = editor.run_with_priority(4)
    seen(editor.in_node, 3)
    text = editor.in_node.get_by_label("Text", exact=True)
    expect(text).to_have_value("a heron")
    text.fill("an <b>egret</b>\né")
    editor.in_node.get_by_role("button", name="Approve").click()
    assert editor.ended(job_id)["status"] == "succeeded"
    assert editor.shown_texts(job_id, "7") == ["an <b>egret</b>\né"]
    assert editor.shown_texts(job_id, "8") == ["True"]


def test_a_rejection_from_the_node_blocks_what_follows(editor):
    editor.load(approving_workflow("Bad?", "a heron"))
    job_id = editor.run_with_priority(4)
    editor.in_node.get_by_role("button", name="Reject").click()
    assert editor.ended(job_id)["status"] == "succeeded"
    assert set(editor.history(job_id)["outputs"]) == {"8"}
    assert editor.shown_texts(job_id, "8") == ["False"]


def test_by_keyboard_alone(editor):
    editor.load(picking_workflow("By key?", most=1))
    job_id = editor.run_with_priority(4)
    seen(editor.in_node, 3)
    first = editor.in_node.get_by_role("button", name="Picture 1 of 3", exact=True)
    first.focus()
    for key in ("Space", "Tab", "Tab", "Enter"):
        editor.page.keyboard.press(key)
    second = editor.in_node.get_by_role("button", name="Picture 2 of 3", exact=True)
    expect(second).to_have_attribute("aria-pressed", "true")
    expect(first).to_have_attribute("aria-pressed", "false")
    editor.in_node.get_by_role("button", name="Send").focus()
    editor.page.keyboard.press("Enter")
    assert editor.ended(job_id)["status"] == "succeeded"
    assert editor.shown_texts(job_id, "7") == ["1"]


def test_the_panel_of_another_tab_answers_though_the_node_is_not_there(editor, other_tab):
    editor.load(picking_workflow("From elsewhere?"))
    job_id = editor.run_with_priority(4)
    seen(editor.in_node, 3)
    panel = other_tab.open_panel()
    expect(panel.get_by_role("heading", name="Needs you (1)")).to_be_visible()
    seen(panel, 3)
    expect(panel.get_by_role("button", name="Show")).to_be_hidden()
    panel.get_by_role("button", name="Picture 2 of 3", exact=True).click()
    panel.get_by_role("button", name="Send").click()
    assert editor.ended(job_id)["status"] == "succeeded"
    assert editor.shown_texts(job_id, "7") == ["1"]
    expect(panel.get_by_text("Nothing waits for you")).to_be_visible()
    expect(editor.in_node.get_by_role("status")).to_have_text("No longer waits")
    expect(editor.in_node.locator("img")).to_have_count(0)


def test_show_brings_the_node_into_view(editor):
    editor.load(approving_workflow("Where?", ""))
    job_id = editor.run_with_priority(4)
    panel = editor.open_panel()
    editor.page.evaluate("() => { window.app.canvas.ds.offset[0] = 9000; }")
    panel.get_by_role("button", name="Show").click()
    chosen = "Array.from(window.app.canvas.selectedItems ?? []).map((item) => String(item.id))"
    wait_until(lambda: editor.page.evaluate(chosen) == ["6"], what="the node to be selected")
    expect(editor.in_node.get_by_role("button", name="Approve")).to_be_in_viewport()
    panel.get_by_role("button", name="Approve").click()
    assert editor.ended(job_id)["status"] == "succeeded"


def test_a_reload_keeps_pictures_and_text_and_an_edit_in_one_place_does_not_disturb_the_other(editor):
    editor.load(approving_workflow("Still there?", "a heron"))
    job_id = editor.run_with_priority(4)
    seen(editor.in_node, 3)
    editor.reload()
    editor.load(approving_workflow("Still there?", "a heron"))
    seen(editor.in_node, 3)
    panel = editor.open_panel()
    panel.get_by_label("Text", exact=True).fill("half an egret")
    editor.server.post("/expeditor/messages", data={"message": "nonsense", "node_id": "6"})
    expect(panel.get_by_label("Text", exact=True)).to_have_value("half an egret")
    editor.in_node.get_by_role("button", name="Approve").click()
    assert editor.ended(job_id)["status"] == "succeeded"
    assert editor.shown_texts(job_id, "7") == ["a heron"]


def test_at_the_deadline_the_question_goes_and_the_nodes_height_comes_back(editor):
    editor.load(picking_workflow("Too late?", timeout_s=3))
    height = "window.app.rootGraph.getNodeById(6).size[1]"
    before = editor.page.evaluate(height)
    job_id = editor.run_with_priority(4)
    wait_until(lambda: editor.page.evaluate(height) > before, what="room for the question")
    assert editor.ended(job_id)["status"] == "succeeded"
    assert editor.shown_texts(job_id, "7") == ["0"]
    expect(editor.in_node.get_by_role("status")).to_have_text("No longer waits")
    assert editor.page.evaluate(height) == before


def test_the_icon_of_the_panel_counts_what_waits(editor, other_tab):
    badge = other_tab.page.locator(".side-bar-button", has=other_tab.page.locator(".pi-comments")).locator(
        ".sidebar-icon-badge, .p-badge"
    )
    editor.load(picking_workflow("Counted?"))
    job_id = editor.run_with_priority(4)
    expect(badge).to_have_text("1")
    assert editor.post_message(message="0", node_id="6")[0] == 200
    editor.ended(job_id)
    expect(badge).to_have_count(0)
