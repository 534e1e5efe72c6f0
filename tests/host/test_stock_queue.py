"""Submit, queue, history, interrupt and free as ComfyUI's own clients use them: the same on stock and with Expeditor.

The worker is held by a gate where a state must not move on. Prompt ids are chosen by the tests, so that both servers
have the same ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.host.stock_walk import (
    Call,
    Pair,
    ended,
    gate_prompt,
    image_prompt,
    open_gate,
    prompt_id,
    running,
    stock_and_expeditor,
    walk,
)
from tests.support.waiting import wait_until

PREFIXES = pytest.mark.parametrize("prefix", ["", "/api"], ids=["plain", "api"])
CLIENT = "a-client"


@pytest.fixture(scope="module")
def servers() -> Iterator[Pair]:
    with stock_and_expeditor() as pair:
        yield pair


@pytest.fixture
def pair(servers: Pair) -> Pair:
    """Both servers idle, with an empty history."""
    for server in servers.both:
        # After a failed test one of the two may still be at work.
        wait_until(
            lambda server=server: server.get("/prompt").json() == {"exec_info": {"queue_remaining": 0}}, what="rest"
        )
        assert server.post("/history", json={"clear": True}).status_code == 200
    return servers


def _post(name: str, prompt: dict[str, Any], **further: Any) -> Call:
    return Call("POST", "/prompt", 200, {"json": {"prompt": prompt, "prompt_id": prompt_id(name), **further}})


def _history_of(pair: Pair, *names: str) -> None:
    for server in pair.both:
        ended(server, *(prompt_id(name) for name in names))


@PREFIXES
def test_a_prompt_that_runs(pair: Pair, prefix: str):
    name, color = f"runs{prefix}", 0x102030 + len(prefix)
    pnginfo = {"extra_pnginfo": {"workflow": {"nodes": []}}}
    assert walk(pair, [_post(name, image_prompt(color), client_id=CLIENT, extra_data=pnginfo)], prefix) == []
    _history_of(pair, name)
    calls = [
        Call("GET", "/history"),
        Call("GET", f"/history/{prompt_id(name)}"),
        Call("GET", f"/history/{prompt_id('never submitted')}"),
        Call("GET", "/queue"),
        Call("GET", "/prompt"),
    ]
    assert walk(pair, calls, prefix) == []
    saved = pair.stock.get(f"/history/{prompt_id(name)}").json()[prompt_id(name)]["outputs"]["2"]["images"][0]
    query = "&".join(f"{key}={value}" for key, value in saved.items())
    assert walk(pair, [Call("GET", f"/view?{query}")], prefix) == []


@PREFIXES
def test_the_answer_to_a_prompt_without_an_id(pair: Pair, prefix: str):
    anonymous = Call("POST", "/prompt", 200, {"json": {"prompt": image_prompt(1)}}, masked=(("prompt_id",),))
    calls = [
        anonymous,
        Call("POST", "/prompt", 200, {"json": {"prompt": image_prompt(2), "number": 5.5}}, masked=(("prompt_id",),)),
    ]
    assert walk(pair, calls, prefix) == []
    for server in pair.both:
        answer = server.post(f"{prefix}/prompt", json={"prompt": image_prompt(3)}).json()
        ended(server, answer["prompt_id"])
        assert list(server.get(f"{prefix}/history/{answer['prompt_id']}").json()) == [answer["prompt_id"]]


@PREFIXES
def test_waiting_prompts_are_listed_deleted_and_cleared(pair: Pair, prefix: str):
    gate = f"gate-waiting{prefix.strip('/')}"
    held, kept, dropped, cleared = (f"{name}{prefix}" for name in ("held", "kept", "dropped", "cleared"))
    assert walk(pair, [_post(held, gate_prompt(gate), client_id=CLIENT)], prefix) == []
    for server in pair.both:
        running(server, prompt_id(held))
    calls = [
        _post(kept, image_prompt(11), client_id=CLIENT),
        _post(dropped, image_prompt(12), extra_data={"extra_pnginfo": {"workflow": {}}}),
        Call("GET", "/queue"),
        Call("GET", "/prompt"),
        Call("POST", "/queue", 200, {"json": {"delete": [prompt_id(dropped)]}}),
        Call("POST", "/queue", 200, {"json": {"delete": [prompt_id("nobody")]}}),
        Call("POST", "/queue", 200, {"json": {}}),
        Call("GET", "/queue"),
        Call("POST", "/queue", 200, {"json": {"clear": False}}),
        Call("GET", "/prompt"),
        Call("POST", "/queue", 200, {"json": {"delete": [prompt_id(kept)]}}),  # the last one takes another path in core
        Call("GET", "/queue"),
        _post(cleared, image_prompt(13)),
        Call("POST", "/queue", 200, {"json": {"clear": True}}),
        Call("GET", "/queue"),
    ]
    assert walk(pair, calls, prefix) == []
    for server in pair.both:
        open_gate(server, gate)
    _history_of(pair, held)
    assert walk(pair, [Call("GET", "/history"), Call("GET", "/queue")], prefix) == []


@PREFIXES
def test_interrupting_the_running_prompt(pair: Pair, prefix: str):
    targeted, untargeted, bodyless = (f"{name}{prefix}" for name in ("targeted", "untargeted", "bodyless"))
    for name, options in (
        (targeted, {"json": {"prompt_id": prompt_id(targeted)}}),
        (untargeted, {"json": {}}),
        (bodyless, {}),
    ):
        assert walk(pair, [_post(name, gate_prompt("never"), client_id=CLIENT)], prefix) == []
        for server in pair.both:
            running(server, prompt_id(name))
        other = Call("POST", "/interrupt", 200, {"json": {"prompt_id": prompt_id("nobody")}})
        assert walk(pair, [other, Call("GET", "/queue"), Call("POST", "/interrupt", 200, options)], prefix) == []
        _history_of(pair, name)
    assert walk(pair, [Call("GET", "/history"), Call("GET", "/queue")], prefix) == []
    last = pair.ours.get(f"/history/{prompt_id(targeted)}").json()[prompt_id(targeted)]["status"]
    assert (last["status_str"], last["messages"][-1][0]) == ("error", "execution_interrupted")


@PREFIXES
def test_a_node_that_raises(pair: Pair, prefix: str):
    name = f"raises{prefix}"
    raises = {"1": {"class_type": "ExpeditorTestRaises", "inputs": {"error": "ValueError", "text": "as told"}}}
    assert walk(pair, [_post(name, raises, client_id=CLIENT)], prefix) == []
    _history_of(pair, name)
    assert walk(pair, [Call("GET", "/history", masked=(("traceback", "*"),))], prefix) == []


@PREFIXES
def test_history_is_listed_in_parts_and_forgotten(pair: Pair, prefix: str):
    names = [f"history{index}{prefix}" for index in range(4)]
    for index, name in enumerate(names):
        assert walk(pair, [_post(name, image_prompt(20 + index, "history"))], prefix) == []
        _history_of(pair, name)
    calls = [
        Call("GET", "/history?max_items=2"),
        Call("GET", "/history?max_items=2&offset=1"),
        Call("GET", "/history?offset=3"),
        Call("GET", "/history?max_items=0"),
        Call("GET", "/history?max_items=100"),
        Call("POST", "/history", 200, {"json": {"delete": [prompt_id(names[1]), prompt_id("nobody")]}}),
        Call("GET", "/history"),
        Call("POST", "/history", 200, {"json": {}}),
        Call("POST", "/history", 200, {"json": {"clear": True}}),
        Call("GET", "/history"),
        Call("GET", f"/history/{prompt_id(names[0])}"),
    ]
    assert walk(pair, calls, prefix) == []


@PREFIXES
def test_free_drops_the_cache(pair: Pair, prefix: str):
    first, again, freed = (f"{name}{prefix}" for name in ("first", "again", "freed"))
    calls = [Call("POST", "/free", 200, {"json": {"unload_models": True, "free_memory": True}})]
    # With a client: what this version does with cached outputs of a prompt without one is told in the next test.
    for name in (first, again):
        assert walk(pair, [_post(name, image_prompt(0x777777), client_id=CLIENT)], prefix) == []
        _history_of(pair, name)
    assert walk(pair, [*calls, Call("POST", "/free", 200, {"json": {}})], prefix) == []
    assert walk(pair, [_post(freed, image_prompt(0x777777), client_id=CLIENT)], prefix) == []
    _history_of(pair, freed)
    assert walk(pair, [Call("GET", "/history")], prefix) == []
    messages = pair.ours.get("/history").json()
    cached = {
        name: dict(messages[prompt_id(name)]["status"]["messages"])["execution_cached"]["nodes"]
        for name in (again, freed)
    }
    assert cached == {again: ["1", "2"], freed: []}


def test_cached_outputs_without_a_client_are_in_the_history(pair: Pair):
    """The one wanted difference: ComfyUI before 0.19 forgets such outputs, Expeditor lists them as later versions do."""
    for server in pair.both:
        for name in ("told first", "told again"):
            prompt = image_prompt(0x555555)
            assert server.post("/prompt", json={"prompt": prompt, "prompt_id": prompt_id(name)}).status_code == 200
            ended(server, prompt_id(name))
    entry = ended(pair.ours, prompt_id("told again"))[prompt_id("told again")]
    assert dict(entry["status"]["messages"])["execution_cached"]["nodes"] == ["1", "2"]
    assert [picture["type"] for picture in entry["outputs"]["2"]["images"]] == ["output"]


# -- what core refuses -----------------------------------------------------------------------------------------------------

_SAVE = {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "x"}}
_EMPTY = {"width": 16, "height": 16, "batch_size": 1, "color": 0}


def _with(**inputs: Any) -> dict[str, Any]:
    return {"1": {"class_type": "EmptyImage", "inputs": {**_EMPTY, **inputs}}, "2": _SAVE}


REFUSED: dict[str, Any] = {
    "no prompt": {},
    "empty prompt": {"prompt": {}},
    "no output": {"prompt": {"1": {"class_type": "EmptyImage", "inputs": _EMPTY}}},
    "no class": {"prompt": {"1": {"inputs": {}}, "2": _SAVE}},
    "unknown class": {"prompt": {"1": {"class_type": "NoSuchClass", "inputs": {}}, "2": _SAVE}},
    "missing input": {"prompt": {"2": {"class_type": "SaveImage", "inputs": {"filename_prefix": "x"}}}},
    "not a link": {"prompt": {**_with(), "2": {**_SAVE, "inputs": {"images": ["1"], "filename_prefix": "x"}}}},
    "link to another type": {
        "prompt": {
            **_with(),
            "3": {"class_type": "VAEDecode", "inputs": {"samples": ["1", 0], "vae": ["1", 0]}},
            "2": {**_SAVE, "inputs": {"images": ["3", 0], "filename_prefix": "x"}},
        }
    },
    "not a number": {"prompt": _with(width="wide")},
    "too small": {"prompt": _with(width=0)},
    "too big": {"prompt": _with(batch_size=5000)},
    "not in the list": {
        "prompt": {
            **_with(),
            "3": {
                "class_type": "ImageScale",
                "inputs": {"image": ["1", 0], "upscale_method": "wish", "width": 8, "height": 8, "crop": "disabled"},
            },
            "2": {**_SAVE, "inputs": {"images": ["3", 0], "filename_prefix": "x"}},
        }
    },
    "refused by the node": {
        "prompt": {"1": {"class_type": "LoadImage", "inputs": {"image": "absent.png"}}, "2": _SAVE}
    },
    "targets nothing": {"prompt": _with(), "partial_execution_targets": ["1"]},
}


def _as_the_page_reads_it(body: dict[str, Any]) -> dict[str, Any]:
    """What the page needs: the error's type, and per node its class, the types of its errors and their inputs."""
    nodes = body["node_errors"]
    return {
        "keys": sorted(body["error"]),
        "type": body["error"]["type"],
        "nodes": {
            node: {
                "keys": sorted(faults),
                "class_type": faults["class_type"],
                "dependent_outputs": sorted(faults["dependent_outputs"]),
                "errors": sorted((each["type"], each["extra_info"].get("input_name")) for each in faults["errors"]),
                "error_keys": sorted({key for each in faults["errors"] for key in each}),
            }
            for node, faults in nodes.items()
        }
        if isinstance(nodes, dict)
        else nodes,
    }


@PREFIXES
@pytest.mark.parametrize("body", REFUSED.values(), ids=REFUSED)
def test_what_core_refuses_is_refused_in_its_words(pair: Pair, prefix: str, body: dict[str, Any]):
    answers = [server.post(f"{prefix}/prompt", json=body) for server in pair.both]
    assert [answer.status_code for answer in answers] == [400, 400], answers[1].text
    assert answers[1].headers["Content-Type"] == answers[0].headers["Content-Type"]
    assert _as_the_page_reads_it(answers[1].json()) == _as_the_page_reads_it(answers[0].json())


@PREFIXES
def test_a_half_valid_prompt_is_accepted_and_says_what_was_dropped(pair: Pair, prefix: str):
    half = {**_with(color=len(prefix)), "3": {"class_type": "SaveImage", "inputs": {"filename_prefix": "y"}}}
    name = f"half{prefix}"
    assert walk(pair, [_post(name, half)], prefix) == []
    _history_of(pair, name)
    assert walk(pair, [Call("GET", "/history")], prefix) == []


_INVERT = {"class_type": "ImageInvert", "inputs": {"image": ["404", 0]}}  # a link to a node that is not there
HARMLESS: dict[str, Any] = {
    "a dropped output linked to a missing node": {
        "3": {**_SAVE, "inputs": {"images": ["404", 0], "filename_prefix": "y"}}
    },
    "a dropped branch linked to a missing node": {
        "3": {**_SAVE, "inputs": {"images": ["4", 0], "filename_prefix": "y"}},
        "4": _INVERT,
    },
    "an unreachable node linked to a missing node": {"4": _INVERT},
    "an unreachable node of bad values": {"4": {"class_type": "EmptyImage", "inputs": {"width": "wide"}}},
    "an unreachable cycle": {
        "4": {"class_type": "ImageInvert", "inputs": {"image": ["5", 0]}},
        "5": {"class_type": "ImageInvert", "inputs": {"image": ["4", 0]}},
    },
    "an undeclared input": {"4": {"class_type": "EmptyImage", "inputs": {**_EMPTY, "undeclared": {"a": [1, 2]}}}},
}


@PREFIXES
@pytest.mark.parametrize("further", HARMLESS.values(), ids=HARMLESS)
def test_what_core_drops_does_not_stand_in_the_way(pair: Pair, prefix: str, further: dict[str, Any]):
    """Beside a valid output; the page sends such graphs while a user works on them."""
    case = list(HARMLESS.values()).index(further)
    name = f"{case} beside{prefix}"
    valid = image_prompt(0x909000 + case * 2 + bool(prefix), prefix=f"beside{case}")
    assert walk(pair, [_post(name, {**valid, **further}, client_id=CLIENT)], prefix) == []
    _history_of(pair, name)
    assert walk(pair, [Call("GET", "/history")], prefix) == []


@PREFIXES
def test_part_of_a_prompt_is_run(pair: Pair, prefix: str):
    name, color = f"part{prefix}", 77 + len(prefix)
    whole = {**_with(color=color), "3": {**_SAVE, "inputs": {"images": ["1", 0], "filename_prefix": "z"}}}
    assert walk(pair, [_post(name, whole, partial_execution_targets=["3"])], prefix) == []
    _history_of(pair, name)
    assert list(pair.ours.get("/history").json()[prompt_id(name)]["outputs"]) == ["3"]
    assert walk(pair, [Call("GET", "/history")], prefix) == []
