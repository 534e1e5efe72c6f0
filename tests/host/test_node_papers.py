"""Every node has what a newcomer needs: help and names in English and Chinese, an example that really runs with its picture, a line in
the README. Asked of a real ComfyUI, as its page would.
"""

from __future__ import annotations

import io
import json
import re
from typing import Any

import pytest
from PIL import Image

from expeditor.docs.generate_examples import EXAMPLES
from expeditor.docs.generate_locales import english
from tests.host.jobs_client import ENDED, job, submit
from tests.support.comfy_server import ROOT, RealComfyUI
from tests.support.page_workflow import to_prompt
from tests.support.waiting import wait_until

NODES = sorted(EXAMPLES)
LANGUAGES = ("en", "zh")
CHINESE = re.compile("[\u4e00-\u9fff]")
ANSWERS = {"WaitForMessage": "a castle", "ApproveImage": "approve", "PickImages": "2,0"}
OUTPUTS = {"ApproveImage": 1, "PickImages": 2, "StyleTransferNode": 1, "SetJobMetadata": 1}
each_node = pytest.mark.parametrize("node", NODES)


def definitions(server: RealComfyUI) -> dict[str, Any]:
    return server.get("/object_info").json()


def help_page(server: RealComfyUI, node: str, language: str) -> str:
    """As the page asks for it: the language's own page first."""
    for path in (f"{node}/{language}.md", f"{node}.md"):
        answer = server.get(f"/extensions/expeditor/docs/{path}")
        if answer.status_code == 200:
            return answer.content.decode("utf-8")
    raise AssertionError(f"{node} has no help")


def texts(entry: dict[str, Any]) -> dict[tuple[str, ...], str]:
    """Every text of a locale's entry by where it stands."""
    found = {(key,): entry[key] for key in ("display_name", "description")}
    for part in ("inputs", "outputs"):
        for name, one in entry[part].items():
            found |= {(part, name, key): one[key] for key in ("name", "tooltip")}
    return found


def test_these_are_all_nodes(expeditor_server: RealComfyUI) -> None:
    ours = {
        name
        for name, each in definitions(expeditor_server).items()
        if each["python_module"] == "custom_nodes.expeditor"
    }
    assert ours == set(NODES) == set(english(definitions(expeditor_server)))


@each_node
@pytest.mark.parametrize("language", LANGUAGES)
def test_the_help_tells_of_every_input_and_output(expeditor_server: RealComfyUI, node: str, language: str) -> None:
    page, declared = help_page(expeditor_server, node, language), definitions(expeditor_server)[node]
    names = [name for kind in ("required", "optional") for name in declared["input"].get(kind) or {}]
    told = [name for name in [*names, *declared["output_name"]] if f"`{name}`" not in page]
    assert not told
    assert bool(CHINESE.search(page)) == (language == "zh")


def test_the_english_texts_are_those_of_the_nodes(expeditor_server: RealComfyUI) -> None:
    """If this fails: python docs/generate_locales.py ADDRESS, then the same in locales/zh by hand."""
    written = json.loads((ROOT / "locales/en/nodeDefs.json").read_text("utf-8"))
    assert written == english(definitions(expeditor_server))


def test_the_page_gets_names_and_tooltips_in_both_languages(expeditor_server: RealComfyUI) -> None:
    served = expeditor_server.get("/i18n").json()
    for node in NODES:
        inputs = [texts(served[language]["nodeDefs"][node]) for language in LANGUAGES]
        assert inputs[0].keys() == inputs[1].keys(), node
        same = {at for at, text in inputs[0].items() if inputs[1][at] == text}
        assert same <= {("outputs", "0", "name")}, f"{node} is not translated at {same}"
        untold = [
            at for at, text in inputs[1].items() if at[-1] in {"tooltip", "description"} and not CHINESE.search(text)
        ]
        assert not untold


@each_node
def test_its_example_is_a_template_with_a_picture(expeditor_server: RealComfyUI, node: str) -> None:
    name = EXAMPLES[node]().name
    assert name in expeditor_server.get("/workflow_templates").json()["expeditor"]
    served = expeditor_server.get(f"/api/workflow_templates/expeditor/{name}.json").json()
    assert node in {each["type"] for each in served["nodes"]}
    picture = Image.open(io.BytesIO(expeditor_server.get(f"/api/workflow_templates/expeditor/{name}.jpg").content))
    assert picture.format == "JPEG"
    assert picture.width >= 300


@each_node
def test_its_example_is_what_the_script_writes(node: str) -> None:
    sheet = EXAMPLES[node]()
    assert (ROOT / f"example_workflows/{sheet.name}.json").read_text("utf-8") == sheet.json()


@each_node
def test_its_example_runs(expeditor_server: RealComfyUI, node: str) -> None:
    """As the page would send it; whoever is asked answers."""
    workflow = json.loads(EXAMPLES[node]().json())
    for each in workflow["nodes"]:  # the same picture, smaller: a processor paints it
        if each["type"] in {"EmptyImage", "SolidMask"}:
            each["widgets_values"] = [
                max(1, value // 8) if 100 < value < 1000 else value for value in each["widgets_values"]
            ]
    prompt = to_prompt(workflow, definitions(expeditor_server))
    assert any(each["class_type"] == node for each in prompt.values())
    job_id = submit(expeditor_server, prompt)["id"]
    asking = [number for number, each in prompt.items() if each["class_type"] in ANSWERS]

    def over() -> bool:
        for number in asking:
            fields = {"node_id": number, "prompt_id": job_id, "message": ANSWERS[node]}
            expeditor_server.post("/expeditor/messages", data=fields)
        return job(expeditor_server, job_id)["status"] in ENDED

    wait_until(over, 120.0, what=f"the end of {node}'s example")
    ended = job(expeditor_server, job_id)
    assert ended["status"] == "succeeded", ended["error"]
    assert len(ended["outputs"]) == OUTPUTS.get(node, 0)


@each_node
def test_the_readme_has_a_line_for_it(expeditor_server: RealComfyUI, node: str) -> None:
    display_name = definitions(expeditor_server)[node]["display_name"]
    lines = (ROOT / "README.md").read_text("utf-8").splitlines()
    assert any(line.startswith(f"- **{display_name}**") for line in lines)
