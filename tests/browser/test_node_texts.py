"""The help of our nodes opens in the page, in the language of the page.

That names and tooltips come in both languages is tests/host/test_node_papers.py. The page of frontend 1.32.9 forgets the translations of
all packs when it starts in another language than English; names and tooltips are there all the same.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.browser.editor import Editor
from tests.browser.workflows import node, workflow
from tests.support.comfy_server import ROOT

OPENING = {
    "StyleTransferNode": ("Paints pictures in a style", "把图像画成某种风格"),
    "WaitForMessage": ("Pauses the workflow until a text is sent", "暂停工作流，直到有一段文字发送到此节点"),
    "ApproveImage": ("Shows pictures and waits until somebody approves", "显示图像，并等待有人批准或拒绝"),
    "PickImages": ("Shows a batch and waits until somebody has chosen", "显示一个批次，并等待有人选出哪些图像继续"),
    "JobInfo": ("Tells the workflow about the job it runs in", "告诉工作流它正在哪个任务中运行"),
    "SetJobMetadata": ("Puts a key and a value into the metadata", "把一个键和一个值写入当前任务的元数据"),
}


@pytest.fixture(params=["en", "zh"])
def language(request: pytest.FixtureRequest, editor: Editor) -> Iterator[str]:
    editor.set_setting("Comfy.Locale", request.param)
    editor.reload()
    yield request.param
    editor.set_setting("Comfy.Locale", "en")


def test_the_help_of_every_node_opens(editor: Editor, language: str) -> None:
    for kind, texts in OPENING.items():
        editor.load(workflow([node(1, kind, [])], []))
        editor.page.evaluate("window.app.canvas.selectNode(window.app.rootGraph.nodes[0])")
        editor.page.get_by_test_id("info-button").click()
        # The help, not the node's description, which may begin alike.
        editor.page.locator("p", has_text=texts[language == "zh"]).first.wait_for()
    # Each node's own page is asked for in the language first; in English, and in any that we have not, it is the one without.
    missing = [said for said in editor.complaints if "404" in said and said.endswith("/en.md")]
    assert len(missing) == (len(OPENING) if language == "en" else 0)
    editor.complaints[:] = [said for said in editor.complaints if said not in missing]


def test_nodes_are_found_by_their_names_in_the_language_of_the_page(editor: Editor, language: str) -> None:
    texts = json.loads((ROOT / f"locales/{language}/nodeDefs.json").read_text(encoding="utf-8"))
    for kind in OPENING:
        made = editor.page.evaluate("(kind) => window.LiteGraph.createNode(kind).constructor.nodeData", kind)
        assert made["display_name"] == texts[kind]["display_name"]
        assert made["description"] == texts[kind]["description"]
