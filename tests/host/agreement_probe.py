"""Runs inside ComfyUI's interpreter and tree: mutates a CPU graph at random and compares our verdict with core's.

A script for `test_agrees_with_core.py`, not a test: `python agreement_probe.py <checkout> <tree> <rounds> <seed>`. Prints
one JSON object: rounds, how often core refused, and up to ten disagreements.
"""

from __future__ import annotations

import asyncio
import copy
import json
import logging
import random
import sys
import types
from pathlib import Path
from typing import Any

CHECKOUT, TREE, ROUNDS, SEED = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
sys.argv = [str(Path(TREE) / "main.py"), "--cpu"]
sys.path.insert(0, TREE)
package = types.ModuleType("expeditor")
package.__path__ = [CHECKOUT]
sys.modules["expeditor"] = package

import comfy.options  # noqa: E402

comfy.options.enable_args_parsing()

import nodes  # noqa: E402
import torch  # noqa: E402

from expeditor.host.definitions import LiveDefinitions  # noqa: E402
from expeditor.host.validator import ComfyValidator  # noqa: E402
from expeditor.intake.foresight import foresee  # noqa: E402
from expeditor.intake.hints import Hints  # noqa: E402
from expeditor.intake.inputs import InputStage  # noqa: E402
from expeditor.intake.links import order_of, read_links  # noqa: E402
from expeditor.intake.validation import PromptValidation, ValidationRules  # noqa: E402
from expeditor.jobs.errors import Refused  # noqa: E402

torch.set_num_threads(1)

GRAPH: dict[str, Any] = {
    "1": {"class_type": "EmptyImage", "inputs": {"width": 64, "height": 64, "batch_size": 1, "color": 255}},
    "2": {
        "class_type": "ImageScale",
        "inputs": {"image": ["1", 0], "upscale_method": "area", "width": 32, "height": 32, "crop": "disabled"},
    },
    "3": {"class_type": "ImageBlur", "inputs": {"image": ["2", 0], "blur_radius": 1, "sigma": 1.0}},
    "4": {"class_type": "ImageInvert", "inputs": {"image": ["3", 0]}},
    "5": {"class_type": "SaveImage", "inputs": {"images": ["4", 0], "filename_prefix": "x"}},
    "6": {"class_type": "PreviewImage", "inputs": {"images": ["2", 0]}},
    "7": {"class_type": "ImageToMask", "inputs": {"image": ["3", 0], "channel": "red"}},
    "8": {"class_type": "MaskToImage", "inputs": {"mask": ["7", 0]}},
    "9": {"class_type": "PreviewImage", "inputs": {"images": ["8", 0]}},
    "10": {"class_type": "PreviewAny", "inputs": {"source": ["7", 0]}},
    "11": {"class_type": "ImageBatch", "inputs": {"image1": ["1", 0], "image2": ["4", 0]}},
    "12": {"class_type": "LoadImage", "inputs": {"image": "none.png"}},
    "13": {"class_type": "StringConcatenate", "inputs": {"string_a": "a", "string_b": "b", "delimiter": ""}},
    "14": {"class_type": "PreviewAny", "inputs": {"source": ["13", 0]}},
    "15": {"class_type": "PrimitiveInt", "inputs": {"value": 7}},
    "16": {"class_type": "ImageScaleBy", "inputs": {"image": ["1", 0], "upscale_method": "area", "scale_by": 1.5}},
    "17": {"class_type": "PreviewImage", "inputs": {"images": ["16", 0]}},
    "18": {"class_type": "KSamplerSelect", "inputs": {"sampler_name": "euler"}},
    "19": {"class_type": "PreviewAny", "inputs": {"source": ["18", 0]}},
}
VALUES: list[Any] = [
    *(0, 1, -1, 16, 99999999, 3.7, -0.5, 1.0, True, False, None, "16", "3.5", "abc", "", " 7 ", "1_0", "area", "red"),
    *(
        "euler",
        float("nan"),
        float("inf"),
        -float("inf"),
        [],
        [1],
        [1, 2],
        ["a", "b"],
        ["1"],
        ["1", 0, 0],
        {},
        {"a": 1},
    ),
    *({"__value__": 16}, {"__value__": "area"}, {"__value__": ["1", 0]}, {"__value__": None}, 10**30, "x" * 300),
]


def mutate(rng: random.Random) -> dict[str, Any]:
    graph = copy.deepcopy(GRAPH)
    for node_id in rng.sample(sorted(graph), rng.choice([0, 8, 14, 16])):
        if not any(
            value[0] == node_id for node in graph.values() for value in node["inputs"].values() if type(value) is list
        ):
            del graph[node_id]
    if not graph:
        return copy.deepcopy(GRAPH)
    for _ in range(rng.choice([1, 1, 1, 2, 4])):
        node = graph[rng.choice(sorted(graph))]
        inputs = node["inputs"]
        name = rng.choice(sorted(inputs)) if inputs else "other"
        move = rng.randrange(10)
        if move < 5:
            inputs[name] = copy.deepcopy(rng.choice(VALUES))
        elif move == 5:
            inputs.pop(name, None)
        elif move == 6:
            inputs["undeclared"] = copy.deepcopy(rng.choice(VALUES))
        else:
            inputs[name] = [rng.choice(sorted(graph)), rng.choice([0, 0, 0, -1, False])]
    return graph


def with_other_values(rng: random.Random) -> dict[str, Any]:
    """The graph with other values, most of them of the right type, and now and then another one altogether."""
    graph = mutate(rng) if rng.randrange(4) == 0 else copy.deepcopy(GRAPH)
    for _ in range(rng.choice([1, 2, 3])):
        inputs = graph[rng.choice(sorted(graph))]["inputs"]
        plain = [name for name, value in inputs.items() if type(value) is not list]
        if plain:
            name = rng.choice(plain)
            alike = [value for value in VALUES if type(value) is type(inputs[name])]
            inputs[name] = copy.deepcopy(rng.choice(alike or VALUES))
    return graph


Seen = set[tuple[str, str, str]]


class Probe:
    def __init__(self) -> None:
        self.definitions = LiveDefinitions()
        self.core = ComfyValidator()
        self.stage = InputStage()
        self.strict = PromptValidation(self.definitions, ValidationRules(fill_defaults=False))
        self.alike = Alike(self.strict, self.core)
        self.refused = 0
        self.node_faults = 0
        self.disagreements: list[dict[str, Any]] = []

    def compare(self, graph: dict[str, Any]) -> None:
        links = read_links(graph, self.definitions.output_types)
        if links.dangling:
            return  # refused by us whatever core says
        pristine = copy.deepcopy(graph)
        core = asyncio.run(self.core.validate("id", copy.deepcopy(graph), None))
        self.refused += not core.valid
        hints = Hints()
        outputs = [node_id for node_id in graph if self.definitions.get(graph[node_id]["class_type"]).is_output_node]  # type: ignore[union-attr]
        seen = foresee(
            graph,
            outputs,
            links,
            lambda node_id: self.stage.faults(graph, node_id, self.definitions.get, hints),
            lambda node_id: frozenset(self.definitions.get(graph[node_id]["class_type"]).inputs),  # type: ignore[union-attr]
        )
        told = reported(core.node_errors)
        own_validation = any(graph[node_id]["class_type"] == "LoadImage" for node_id, _, _ in told)
        if not own_validation and outputs and seen.refused is core.valid:
            self.disagree("verdict", pristine, core, seen.faults)
        if not order_of(graph, links.edges)[1]:
            self.compare_nodes(pristine, core, seen.faults, told, outputs)
        self.compare_strict(pristine, core)

    def compare_nodes(self, graph: dict[str, Any], core: Any, faults: Any, told: Seen, outputs: list[str]) -> None:
        ours = {(fault.node_id, fault.core_type, fault.input_name) for fault in faults}
        vague = {node_id for node_id, kind, _ in told if kind.startswith("exception_during")}
        theirs = {each for each in told if each[0] not in vague and not each[1].startswith("custom_")}
        self.node_faults += len(theirs)
        if vague:
            # After an exception core looks no further in that node, so it may know less than we do, never more.
            own = {node_id for node_id in vague if hasattr(self.class_of(graph, node_id), "VALIDATE_INPUTS")}
            agreed = theirs <= ours and vague - own <= {fault.node_id for fault in faults}
        else:
            visited = walk(graph, outputs, {(node_id, name) for node_id, _, name in ours})
            agreed = theirs == {each for each in ours if each[0] in visited}
        if not agreed:
            self.disagree("nodes", graph, core, faults)

    def class_of(self, graph: dict[str, Any], node_id: str) -> Any:
        return nodes.NODE_CLASS_MAPPINGS[graph[node_id]["class_type"]]

    def compare_strict(self, graph: dict[str, Any], core: Any) -> None:
        try:
            self.strict.submit(graph)
        except Refused as refused:
            # Strict only: unreachable faults, or what has no word in core. Everything else core must have seen too.
            reachable = walk(graph, list(core.outputs_to_execute), set())
            for fault in refused.faults:
                if not core.node_errors and core.valid and fault.core_type and fault.node_id in reachable:
                    self.disagree("strict", graph, core, refused.faults)

    def disagree(self, what: str, graph: dict[str, Any], core: Any, faults: Any) -> None:
        self.disagreements.append(
            {
                "what": what,
                "graph": graph,
                "core": {"valid": core.valid, "error": core.error, "node_errors": core.node_errors},
                "ours": [(fault.pointer, fault.core_type, fault.message) for fault in faults],
            }
        )


class Alike:
    """Of a graph that is like one that core took, core says the same, and makes the same of its values."""

    def __init__(self, strict: PromptValidation, core: ComfyValidator) -> None:
        self.strict = strict
        self.core = core
        self.taken: dict[bytes, set[str]] = {}
        self.met = 0

    def broken_by(self, graph: dict[str, Any]) -> bool:
        graph = {node_id: node for node_id, node in copy.deepcopy(graph).items() if node["class_type"] != "LoadImage"}
        try:
            likeness = self.strict.submit(graph).likeness
        except Refused:
            return False
        if likeness is None:
            return False
        cores = copy.deepcopy(graph)
        verdict = asyncio.run(self.core.validate("id", cores, None))
        taken = verdict.valid and not verdict.node_errors
        known = self.taken.get(likeness.key)
        if known is None:
            if taken:
                self.taken[likeness.key] = set(verdict.outputs_to_execute)
            return False
        self.met += 1
        likeness.settle()
        runs = walk(graph, list(known), set())
        same = all(json.dumps(graph[node_id]) == json.dumps(cores[node_id]) for node_id in runs)
        return not (taken and known == set(verdict.outputs_to_execute) and same)


def reported(node_errors: dict[str, Any]) -> Seen:
    return {
        (node_id, error["type"], error["extra_info"].get("input_name", ""))
        for node_id, report in node_errors.items()
        for error in report["errors"]
    }


def walk(graph: dict[str, Any], outputs: list[str], cut: set[tuple[str, str]]) -> set[str]:
    seen, todo = set(outputs), list(outputs)
    while todo:
        node_id = todo.pop()
        for name, value in graph[node_id]["inputs"].items():
            if type(value) is list and len(value) == 2 and value[0] in graph and (node_id, name) not in cut:
                declared = LiveDefinitions().get(graph[node_id]["class_type"])
                if value[0] not in seen and declared is not None and name in declared.inputs:
                    seen.add(value[0])
                    todo.append(value[0])
    return seen


def main() -> None:
    logging.disable(logging.CRITICAL)
    asyncio.run(nodes.init_extra_nodes(init_custom_nodes=False, init_api_nodes=False))
    probe, rng = Probe(), random.Random(SEED)
    probe.compare(copy.deepcopy(GRAPH))
    assert not probe.disagreements, probe.disagreements
    for _ in range(ROUNDS):
        probe.compare(mutate(rng))
        graph = with_other_values(rng)
        if probe.alike.broken_by(graph):
            probe.disagreements.append({"what": "alike", "graph": graph})
    broken = [name for name in probe.definitions.names() if not probe.definitions.get(name).fingerprint]  # type: ignore[union-attr]
    unstable = [
        name for name in probe.definitions.names() if probe.definitions.get(name) is not probe.definitions.get(name)
    ]
    report = {
        "rounds": ROUNDS,
        "core_refused": probe.refused,
        "node_faults": probe.node_faults,
        "met_again": probe.alike.met,
        "core_is_own": probe.core.own() is not None,
        "classes": len(probe.definitions.names()),
        "unreadable": broken,
        "not_kept": unstable,
        "disagreements": probe.disagreements[:10],
    }
    sys.stdout.write(json.dumps(report, default=str) + "\n")


main()
