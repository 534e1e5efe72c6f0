"""The inputs stage: every declared input of every node against the live definition.

Owns required inputs, literals and the types of links, with core's verdict: what core accepts is accepted, except that
the strict verdict also refuses what could only fail in the run (NaN, a literal where only a link fits, an unknown
choice of a V3 combo). Undeclared inputs, templates that ComfyUI expands, and the nodes' own validation are core's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

from ..jobs.definitions import InputDefinition, NodeDefinition, combo_type
from ..jobs.errors import Fault
from .faults import pointer, short, shown
from .hints import Hints
from .links import is_link, link_fault
from .literals import Finding, Literal, Verdicts, unwrapped
from .schemas import is_bounded

Definitions = Callable[[str], "NodeDefinition | None"]

_EXACT = {"INT": int, "FLOAT": float, "STRING": str, "BOOLEAN": bool}
"""What core makes of a literal of these types; a value of the very type stays as it is."""

# Newer servers let these meet anything and leave the rest to the page; older ones refuse afterwards, in core.
_OPEN_TYPES = ("*", "COMFY_MATCHTYPE_V3")


@dataclass(frozen=True, slots=True)
class PlainInput:
    """``accepts`` tells the values that core takes by the declaration alone. It keeps those of ``kept_type`` as they are and makes
    floats of integers where that is ``float``; None: what it makes of others cannot be said here."""

    accepts: Callable[[object], bool]
    kept_type: type | None


@dataclass(frozen=True, slots=True)
class CompiledNode:
    """A definition made ready: literals by input name, and what must be there."""

    definition: NodeDefinition
    literals: dict[str, Literal]
    required: tuple[str, ...]
    types_by_node: bool
    """The node looks at the types of its links itself."""
    plain: dict[str, PlainInput]


def compile_node(definition: NodeDefinition) -> CompiledNode:
    """Compile the parts of ``definition`` that this stage judges."""
    judged = [declared for declared in definition.inputs.values() if not declared.is_dynamic]
    literals = {each.name: Literal(each, bounded=is_bounded(definition, each.name)) for each in judged}
    return CompiledNode(
        definition,
        literals,
        tuple(each.name for each in judged if each.required),
        "input_types" in definition.self_validated,
        {name: PlainInput(literal.accepts, _kept_type(literal)) for name, literal in literals.items()},
    )


class InputStage:
    """Judges nodes; keeps compiled definitions and verdicts between requests."""

    def __init__(self) -> None:
        """Nothing is compiled until it is asked for."""
        self._compiled: dict[str, CompiledNode] = {}
        self.verdicts = Verdicts()

    def compiled(self, definition: NodeDefinition) -> CompiledNode:
        """The compiled ``definition``: made once per fingerprint."""
        known = self._compiled.get(definition.class_type)
        if known is None or known.definition is not definition and not _same(known.definition, definition):
            known = self._compiled[definition.class_type] = compile_node(definition)
        return known

    def faults(
        self, prompt: dict[str, dict[str, Any]], node_id: str, definitions: Definitions, hints: Hints
    ) -> list[Fault]:
        """All faults of one node. ``Fault.core_type`` is None where core would accept."""
        node = prompt[node_id]
        definition = definitions(node["class_type"])
        if definition is None:
            return []
        compiled = self.compiled(definition)
        inputs = cast("dict[str, Any]", node["inputs"])
        found = [_missing(node_id, node, name, compiled, hints) for name in compiled.required if name not in inputs]
        for name, value in inputs.items():
            literal = compiled.literals.get(name)
            if literal is None:
                continue
            if type(value) is list:
                fault = _judge_link(prompt, node_id, literal.declared, compiled, definitions)
                if fault is not None:
                    found.append(fault)
            elif not literal.accepts(value):
                found += self._literal_faults(node_id, node, literal, value, compiled, hints)
        return found

    def settles(self, definition: NodeDefinition | None, values: Mapping[str, object]) -> bool:
        """Whether core takes these literals, leaves them as they are, and asks nobody else about them."""
        plain = None if definition is None else self.plain(definition)
        return plain is not None and all(_is_settled(plain.get(name), value) for name, value in values.items())

    def plain(self, definition: NodeDefinition) -> Mapping[str, PlainInput] | None:
        """The declared inputs of a class about whose values core asks nobody else, by name; None of any other class."""
        if definition.dynamic_inputs or definition.self_validated or definition.validates_all:
            return None
        return self.compiled(definition).plain if definition.fingerprint else None

    def _literal_faults(
        self, node_id: str, node: dict[str, Any], literal: Literal, value: object, compiled: CompiledNode, hints: Hints
    ) -> list[Fault]:
        bare = unwrapped(value)
        if bare is not value and literal.accepts(bare):
            return []
        findings = self.verdicts.findings(compiled.definition.fingerprint, literal, bare)
        return [_fault(node_id, node, literal, finding, bare, hints) for finding in findings]


def _same(known: NodeDefinition, other: NodeDefinition) -> bool:
    return known.fingerprint == other.fingerprint if other.fingerprint else known == other


def _is_settled(plain: PlainInput | None, value: object) -> bool:
    return plain is not None and plain.accepts(value) and type(value) is plain.kept_type


def _kept_type(literal: Literal) -> type | None:
    return str if literal.choices is not None else _EXACT.get(literal.declared.type)


def types_fit(received: str, declared: InputDefinition) -> bool:
    """Whether an output of type ``received`` may feed ``declared``.

    Core's rule, taken leniently where versions differ (core has the last word): equal by the types' own ``!=`` (packs
    override it to match anything), one type in common between comma-separated unions, or an open type.
    """
    expected = declared.type
    if declared.choices is not None:
        if not _differ(received, declared.choices) or received in _OPEN_TYPES:
            return True
        return received.startswith("[") and received == combo_type(declared.choices)
    if not _differ(received, expected):
        return True
    if received in _OPEN_TYPES or expected in _OPEN_TYPES or (received.startswith("[") and expected == "COMBO"):
        return True
    if received.startswith("["):
        return False
    return not {part.strip() for part in received.split(",")}.isdisjoint(part.strip() for part in expected.split(","))


def _differ(received: object, expected: object) -> bool:
    # Not `==`: packs make a type that fits anything by overriding `__ne__` alone.
    return received != expected


def _judge_link(
    prompt: dict[str, dict[str, Any]],
    node_id: str,
    declared: InputDefinition,
    compiled: CompiledNode,
    definitions: Definitions,
) -> Fault | None:
    node = prompt[node_id]
    value = cast("list[Any]", node["inputs"][declared.name])
    if len(value) != 2:
        return link_fault(node_id, node, declared.name, "must be a pair of node id and output index", value)
    if not is_link(value):
        return link_fault(node_id, node, declared.name, _why_odd(value), value)
    source = prompt.get(value[0])
    giver = definitions(source["class_type"]) if source is not None else None
    if giver is None or compiled.types_by_node:
        return None
    try:
        received = giver.output_types[int(value[1])]
    except (IndexError, ValueError, OverflowError):
        return None  # the links stage has told it
    return None if types_fit(received, declared) else _mismatch(node_id, node, declared, received, value)


def _why_odd(value: list[Any]) -> str:
    if not isinstance(value[0], str):
        return "must name its node by a string"
    return "must have an integer as output index"


def _mismatch(node_id: str, node: dict[str, Any], declared: InputDefinition, received: str, value: list[Any]) -> Fault:
    given, wanted = short(received), short(declared.type)
    return Fault(
        pointer("prompt", node_id, "inputs", declared.name),
        "LINK_INVALID",
        f"Input {short(declared.name)} of node {short(node_id)} takes {wanted}, but output {shown(value)} gives {given}.",
        node_id=node_id,
        class_type=node["class_type"],
        input_name=declared.name,
        core_type="return_type_mismatch",
        core_details=f"{declared.name}, received_type({given}) mismatch input_type({wanted})",
    )


def _missing(node_id: str, node: dict[str, Any], name: str, compiled: CompiledNode, hints: Hints) -> Fault:
    known = compiled.definition.inputs
    strangers = [other for other in node["inputs"] if other not in known]
    hint = None
    if strangers:
        near = hints.nearest(name, f"strangers of {node_id}", strangers)
        hint = None if near is None else f"{near!r} is no input of this class; did you mean {name!r}?"
    return Fault(
        pointer("prompt", node_id, "inputs", name),
        "INPUT_INVALID",
        f"Input {short(name)} of node {short(node_id)} is missing; {short(node['class_type'])} requires it.",
        hint=hint,
        node_id=node_id,
        class_type=node["class_type"],
        input_name=name,
        core_type="required_input_missing",
        core_details=name,
    )


def _fault(
    node_id: str, node: dict[str, Any], literal: Literal, finding: Finding, value: object, hints: Hints
) -> Fault:
    name, hint = literal.declared.name, None
    if finding.unlisted and isinstance(value, str):
        hint = hints.did_you_mean(value, f"{node['class_type']}.{name}", literal.choices or ())
    return Fault(
        pointer("prompt", node_id, "inputs", name),
        "INPUT_INVALID",
        f"Input {short(name)} of node {short(node_id)}: {finding.text}.",
        hint=hint,
        node_id=node_id,
        class_type=node["class_type"],
        input_name=name,
        core_type=finding.core_type,
        core_details=finding.core_details,
    )
