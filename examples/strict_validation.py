"""Check a prompt before it is sent, strictly and all at once, against the schemas of the server that will run it.

    pip install jsonschema
    python examples/strict_validation.py prompt.json --url http://127.0.0.1:8188

``validate_prompt`` is made to be copied. Stricter than the server on purpose: a value of another JSON type that
ComfyUI would convert (``"512"`` or ``512.5`` for a whole number) is refused here. Left to the server, as the schemas do not
tell: whether a link's output exists and has the right type, whether anything is an output node, a node's own checks (such
as a missing file), and the server's limits.
"""

from __future__ import annotations

import argparse
import json
import sys
import urllib.request
from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import jsonschema

Prompt = dict[str, dict[str, Any]]


def validate_prompt(prompt: Any, schemas: dict[str, Any]) -> None:
    """Raise ``ValueError`` with every fault found, one a line, each behind its JSON pointer.

    ``schemas`` is the answer of ``GET /expeditor/schema``. A missing input that has a default is no fault: the server
    fills it in. ``_priority`` may stand beside the nodes. The prompt is not changed.
    """
    if not isinstance(prompt, dict) or not any(key != "_priority" for key in prompt):
        raise ValueError(": a prompt is an object {node id: {class_type, inputs}} with at least one node")
    nodes = {node_id: node for node_id, node in prompt.items() if node_id != "_priority"}
    faults = [*_priority_faults(prompt), *_node_faults(nodes, schemas["$defs"])]
    if not faults:  # links of nodes that are no nodes would only repeat it
        faults = [*_link_faults(nodes), *_loops(nodes)]
    if faults:
        raise ValueError("\n".join(faults))


def fetch_schemas(url: str) -> dict[str, Any]:
    """The schemas of a server; keep them: they change only when its nodes or models do."""
    with urllib.request.urlopen(f"{url}/expeditor/schema") as answer:
        return json.load(answer)


def _priority_faults(prompt: dict[str, Any]) -> Iterator[str]:
    priority = prompt.get("_priority")
    if priority is not None and (type(priority) is not int or not 1 <= priority <= 10):
        yield f"/_priority: must be an integer from 1 to 10 (10 is most urgent), not {priority!r}"


def _node_faults(nodes: dict[str, Any], classes: dict[str, Any]) -> Iterator[str]:
    for node_id, node in nodes.items():
        place = "/" + _escaped(node_id)
        if not isinstance(node, dict) or not isinstance(node.get("inputs"), dict):
            yield f"{place}: must be an object with class_type and inputs"
            continue
        class_type = node.get("class_type")
        if not isinstance(class_type, str) or class_type not in classes:
            near = get_close_matches(str(class_type), classes, n=1)
            yield f"{place}/class_type: unknown class {class_type!r}" + (f", did you mean {near[0]}?" if near else "")
            continue
        schema = classes[class_type]
        validator = jsonschema.Draft202012Validator(schema)
        for error in validator.iter_errors(_with_defaults(node, schema)):
            path = "".join("/" + _escaped(str(part)) for part in error.absolute_path)
            yield f"{place}{path}: {_reason(error)}"


def _with_defaults(node: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    declared = schema["properties"]["inputs"]["properties"]
    defaults = {name: each["default"] for name, each in declared.items() if "default" in each}
    return {**node, "inputs": {**defaults, **node["inputs"]}}


def _reason(error: jsonschema.ValidationError) -> str:
    # An input is "a literal or a link"; for a value that is no list, only the literal's complaint is of interest.
    if error.validator == "anyOf" and not isinstance(error.instance, list) and error.context:
        return error.context[0].message
    return error.message


def _link_faults(nodes: Prompt) -> Iterator[str]:
    for node_id, node in nodes.items():
        for name, value in node["inputs"].items():
            if isinstance(value, list) and not _is_link(value):
                place = f"/{_escaped(node_id)}/inputs/{_escaped(name)}"
                yield f"{place}: a list is a link, [node id, output index], not {value!r}"
            elif isinstance(value, list) and value[0] not in nodes:
                yield f"/{_escaped(node_id)}/inputs/{_escaped(name)}: there is no node {value[0]}"


def _loops(nodes: Prompt) -> Iterator[str]:
    """Take away nodes whose sources are all gone, again and again; what stays is in a loop or behind one."""
    sources = {
        node_id: {value[0] for value in node["inputs"].values() if _is_link(value)} for node_id, node in nodes.items()
    }
    free = [node_id for node_id, needed in sources.items() if not needed]
    readers: dict[str, list[str]] = {}
    for node_id, needed in sources.items():
        for source in needed:
            readers.setdefault(source, []).append(node_id)
    while free:
        done = free.pop()
        del sources[done]
        for reader in readers.get(done, []):
            sources[reader].discard(done)
            if not sources[reader]:
                free.append(reader)
    stuck = [node_id for node_id, needed in sources.items() if needed <= sources.keys()]
    if stuck:
        yield f"/{_escaped(stuck[0])}: the links of these nodes form a loop: {', '.join(stuck)}"


def _is_link(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and isinstance(value[0], str) and type(value[1]) is int


def _escaped(part: str) -> str:
    return part.replace("~", "~0").replace("/", "~1")


def main() -> int:
    """0 for a valid prompt, 1 for faults."""
    parser = argparse.ArgumentParser(description="Check a prompt (a workflow exported in API format).")
    parser.add_argument("prompt", type=Path)
    parser.add_argument("--url", default="http://127.0.0.1:8188", help="ComfyUI with Expeditor")
    options = parser.parse_args()
    prompt = json.loads(options.prompt.read_text("utf-8"))
    try:
        validate_prompt(prompt, fetch_schemas(options.url.rstrip("/")))
    except ValueError as faults:
        print(faults, file=sys.stderr)
        return 1
    print(f"valid: {len(prompt)} nodes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
