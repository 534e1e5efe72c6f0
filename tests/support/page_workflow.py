"""A workflow as ComfyUI's page saves it, turned into the prompt that the page would send for it.

Knows what the page knows: ``/object_info``. No subgraphs, no bypassed nodes, no reroutes; notes are left out.
"""

from __future__ import annotations

from typing import Any

NOTES = {"Note", "MarkdownNote"}
WIDGETS = {"INT", "FLOAT", "STRING", "BOOLEAN", "COMBO"}


def to_prompt(workflow: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    """The prompt by node id. AssertionError where the workflow does not fit the definitions."""
    links = {link[0]: link for link in workflow["links"]}
    assert len(links) == len(workflow["links"]), "two links of one number"
    nodes = {node["id"]: node for node in workflow["nodes"]}
    prompt = {}
    for number, node in nodes.items():
        if node["type"] in NOTES:
            continue
        definition = definitions[node["type"]]
        declared = {**definition["input"].get("required", {}), **(definition["input"].get("optional") or {})}
        inputs = _values(node, declared)
        for socket in node["inputs"]:
            if socket["link"] is not None:
                inputs[socket["name"]] = _source(links[socket["link"]], number, socket, nodes, definitions)
        assert inputs.keys() <= declared.keys(), f"{node['type']} has no {inputs.keys() - declared.keys()}"
        prompt[str(number)] = {"class_type": node["type"], "inputs": inputs}
    return prompt


def _values(node: dict[str, Any], declared: dict[str, Any]) -> dict[str, Any]:
    """Widgets by the order in which they are declared; a seed is followed by what becomes of it after a run."""
    values, found = list(node.get("widgets_values") or ()), dict[str, Any]()
    for name, (type_, *options) in declared.items():
        if values and (isinstance(type_, list) or type_ in WIDGETS) and not (options and options[0].get("forceInput")):
            found[name] = values.pop(0)
            if options and options[0].get("control_after_generate"):
                values.pop(0)
    assert not values, f"{node['type']} has no widgets for {values}"
    return found


def _source(
    link: list[Any], number: int, socket: dict[str, Any], nodes: dict[int, Any], definitions: dict[str, Any]
) -> list[Any]:
    """The link as a prompt has it, once both ends agree."""
    _, source, output, target, slot, type_ = link
    assert (target, nodes[number]["inputs"][slot]["name"]) == (number, socket["name"])
    made = nodes[source]["outputs"][output]
    assert link[0] in made["links"]
    assert made["type"] == type_ == definitions[nodes[source]["type"]]["output"][output]
    assert socket["type"] in {type_, "*"} or type_ == "*"
    return [str(source), output]
