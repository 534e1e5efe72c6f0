"""`examples/strict_validation.py` and the server agree on a table of prompts; where they differ, it is as documented there."""

from __future__ import annotations

import copy
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

from tests.support.comfy_server import RealComfyUI
from tests.support.examples import example_module

Prompt = dict[str, Any]

GOOD: Prompt = {
    "1": {"class_type": "EmptyImage", "inputs": {"width": 64, "height": 32, "batch_size": 1, "color": 0}},
    "2": {"class_type": "StyleTransferNode", "inputs": {"image": ["1", 0], "style": "vangogh", "intensity": 0.5}},
    "3": {"class_type": "SaveImage", "inputs": {"images": ["2", 0], "filename_prefix": "strict"}},
}


def changed(*path: str, to: Any) -> Prompt:
    """The good prompt with one value replaced; `...` removes it."""
    prompt = copy.deepcopy(GOOD)
    holder = prompt
    for part in path[:-1]:
        holder = holder[part]
    if to is ...:
        del holder[path[-1]]
    else:
        holder[path[-1]] = to
    return prompt


ACCEPTED: dict[str, Prompt] = {
    "as it is": GOOD,
    "a priority inside": {"_priority": 10, **GOOD},
    "no priority, said as null": {"_priority": None, **GOOD},
    "a title": changed("1", "_meta", to={"title": "Canvas"}),
    "an id of a subgraph": {**GOOD, "3:4": {"class_type": "PreviewImage", "inputs": {"images": ["2", 0]}}},
    "a default left out": changed("2", "inputs", "style", to=...),
    "all defaults left out": changed("1", "inputs", to={}),
    "an optional input": changed("2", "inputs", "seed", to=2**64 - 1),
    "an input that nobody knows": changed("3", "inputs", "colour", to="red"),
    "a whole number for a float": changed("2", "inputs", "intensity", to=1),
    "lowest values": changed("2", "inputs", "intensity", to=0.0),
    "a linked widget": {
        **changed("1", "inputs", "width", to=["4", 0]),
        "4": {"class_type": "PrimitiveInt", "inputs": {"value": 64}},
    },
    "a node that reaches no output": {**GOOD, "9": GOOD["1"]},
}
REFUSED: dict[str, Any] = {
    "no object": [GOOD],
    "nothing": {},
    "a priority and nothing else": {"_priority": 3},
    "priority 0": {"_priority": 0, **GOOD},
    "priority 11": {"_priority": 11, **GOOD},
    "a priority as text": {"_priority": "5", **GOOD},
    "a priority that is true": {"_priority": True, **GOOD},
    "a node that is text": changed("1", to="EmptyImage"),
    "no class": changed("1", "class_type", to=...),
    "a class that is no text": changed("1", "class_type", to=5),
    "an unknown class": changed("1", "class_type", to="EmptyImge"),
    "no inputs": changed("1", "inputs", to=...),
    "inputs in a list": changed("1", "inputs", to=[]),
    "a required link left out": changed("3", "inputs", "images", to=...),
    "text where only a link fits": changed("3", "inputs", "images", to="1"),
    "words for a number": changed("1", "inputs", "width", to="wide"),
    "null for a number": changed("1", "inputs", "width", to=None),
    "too small": changed("1", "inputs", "width", to=0),
    "too large": changed("2", "inputs", "intensity", to=1.01),
    "no such style": changed("2", "inputs", "style", to="van gogh"),
    "a link to nothing": changed("2", "inputs", "image", to=["99", 0]),
    "a link of one": changed("2", "inputs", "image", to=["1"]),
    "a link of three": changed("2", "inputs", "image", to=["1", 0, 0]),
    "a link by number": changed("2", "inputs", "image", to=[1, 0]),
    "a link to an output by name": changed("2", "inputs", "image", to=["1", "IMAGE"]),
    "a link from an undeclared input to nothing": changed("3", "inputs", "extra", to=["99", 0]),
    "a node that reads itself": changed("2", "inputs", "image", to=["2", 0]),
    "a loop of two": {
        **changed("2", "inputs", "image", to=["4", 0]),
        "4": {"class_type": "ImageInvert", "inputs": {"image": ["2", 0]}},
    },
}
STRICTER_THAN_THE_SERVER: dict[str, Prompt] = {
    "a number as text": changed("1", "inputs", "width", to="64"),
    "a fraction for a whole number": changed("1", "inputs", "width", to=64.5),
    "a number for a text": changed("3", "inputs", "filename_prefix", to=7),
}
LEFT_TO_THE_SERVER: dict[str, Prompt] = {
    "an output that is not there": changed("2", "inputs", "image", to=["1", 1]),
    "an output of the wrong type": {
        **changed("2", "inputs", "image", to=["4", 0]),
        "4": {"class_type": "PrimitiveInt", "inputs": {"value": 64}},
    },
    "no output node": changed("3", to=...),
    "a file that is not there": {
        **GOOD,
        "4": {"class_type": "LoadImage", "inputs": {"image": "nowhere.png"}},
        "5": {"class_type": "PreviewImage", "inputs": {"images": ["4", 0]}},
    },
}


@pytest.fixture(scope="module")
def client_accepts(expeditor_server: RealComfyUI) -> Callable[[Any], bool]:
    module = example_module("strict_validation")
    schemas = module.fetch_schemas(expeditor_server.url)

    def accepts(prompt: Any) -> bool:
        before = copy.deepcopy(prompt)
        try:
            module.validate_prompt(prompt, schemas)
        except ValueError:
            return False
        finally:
            assert prompt == before
        return True

    return accepts


def server_accepts(server: RealComfyUI, prompt: Any) -> bool:
    answer = server.post("/expeditor/validate", json={"prompt": prompt})
    assert answer.status_code in {200, 400, 422}, answer.text
    return answer.status_code == 200


Verdict = Callable[[Any], bool]


@pytest.mark.parametrize("case", ACCEPTED)
def test_both_accept(expeditor_server: RealComfyUI, client_accepts: Verdict, case: str) -> None:
    assert (client_accepts(ACCEPTED[case]), server_accepts(expeditor_server, ACCEPTED[case])) == (True, True)


@pytest.mark.parametrize("case", REFUSED)
def test_both_refuse(expeditor_server: RealComfyUI, client_accepts: Verdict, case: str) -> None:
    assert (client_accepts(REFUSED[case]), server_accepts(expeditor_server, REFUSED[case])) == (False, False)


@pytest.mark.parametrize("case", STRICTER_THAN_THE_SERVER)
def test_the_client_is_stricter_where_comfyui_converts(
    expeditor_server: RealComfyUI, client_accepts: Verdict, case: str
) -> None:
    prompt = STRICTER_THAN_THE_SERVER[case]
    assert (client_accepts(prompt), server_accepts(expeditor_server, prompt)) == (False, True)


@pytest.mark.parametrize("case", LEFT_TO_THE_SERVER)
def test_the_client_leaves_to_the_server_what_schemas_do_not_tell(
    expeditor_server: RealComfyUI, client_accepts: Verdict, case: str
) -> None:
    prompt = LEFT_TO_THE_SERVER[case]
    assert (client_accepts(prompt), server_accepts(expeditor_server, prompt)) == (True, False)


def test_all_faults_are_told_at_once(expeditor_server: RealComfyUI) -> None:
    module: ModuleType = example_module("strict_validation")
    prompt = {"_priority": 0, "1": {"class_type": "EmptyImage", "inputs": {"width": 0, "height": "x"}}, "a/b": 5}
    with pytest.raises(ValueError) as refused:
        module.validate_prompt(prompt, module.fetch_schemas(expeditor_server.url))
    places = [line.partition(":")[0] for line in str(refused.value).splitlines()]
    assert sorted(places) == ["/1/inputs/height", "/1/inputs/width", "/_priority", "/a~1b"]
