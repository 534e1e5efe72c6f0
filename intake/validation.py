"""May this prompt enter? The stages in their order, for ``/expeditor/submit`` and in front of stock ``/prompt``.

Owns the sequence and what each door asks for; every stage lives in its own module. A stage reports all its faults at
once, and the first stage with faults ends the walk. Core's own validation comes after this and has the last word.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, cast

from ..jobs.definitions import MISSING, DefinitionSource, InputDefinition, NodeDefinition
from ..jobs.errors import Fault
from .envelope import envelope_faults
from .familiar import Likeness, Remembered, likeness_of
from .faults import pointer, refusal, short, shown
from .foresight import foresee, hurting_links
from .hints import Hints
from .inputs import InputStage
from .limits import nodes_fault, value_faults
from .links import Links, OutputTypes, chain_fault, cycle_fault, cycles, order_of, read_links
from .policy import NodePolicy
from .schemas import is_widget, node_schema, prompt_schema
from .structure import shape_of

Prompt = dict[str, dict[str, Any]]

# Up to here core's own report is small enough whatever is in it.
_FEW_OUTPUTS = 50


@dataclass(frozen=True, slots=True)
class ValidationRules:
    """The limits and switches of validation, from settings.

    ``max_depth`` bounds the nesting of any input value, ``max_string_bytes`` any one string; ``allow`` and ``deny`` are
    globs over class types (``intake.policy``); at most ``max_faults`` faults are told per refusal.
    """

    max_nodes: int = 5000
    max_depth: int = 64
    max_string_bytes: int = 16 * 1024 * 1024
    numeric_ids_only: bool = False
    fill_defaults: bool = True
    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()
    max_faults: int = 2000


@dataclass(frozen=True, slots=True)
class Checked:
    """A prompt that passed: a copy with defaults filled in where any were missing, else the object handed in.

    ``likeness``: what it has in common with those about which core's verdict must be the same; None: with no other.
    """

    prompt: dict[str, Any]
    likeness: Likeness | None = None


class PromptValidation:
    """The validation of one server. Keeps compiled definitions and verdicts; not thread-safe: used on the loop."""

    def __init__(
        self,
        definitions: DefinitionSource,
        rules: ValidationRules,
        *,
        replaceable: Callable[[str], bool] | None = None,
        output_types: OutputTypes | None = None,
    ) -> None:
        """``replaceable`` says whether this server would replace an unknown class; ``output_types`` is a cheaper way to
        a class's outputs than its whole definition."""
        self._definitions = definitions
        self._rules = rules
        self._replaceable = replaceable or _never
        self._output_types = output_types
        self._policy = NodePolicy(rules.allow, rules.deny)
        self._inputs = InputStage()
        self._schemas: dict[str, tuple[NodeDefinition, dict[str, Any]]] = {}
        self._passed: Remembered[bool] = Remembered()

    def submit(self, prompt: object) -> Checked:
        """Every stage, strictly. Raises a ``Refused`` whose faults point into ``/prompt/...``; core comes after."""
        graph = self._sound(prompt)
        view = _View(self._definitions)
        filled = self._filled(graph, view) if self._rules.fill_defaults else graph
        likeness = likeness_of(graph, filled, view.get, self._inputs)
        if likeness is None or self._passed.get(likeness.key) is None:
            self._judge(graph, filled, view)
        if likeness is not None:
            self._passed.put(likeness.key, True)
        return Checked(filled, likeness)

    def _judge(self, graph: Prompt, filled: Prompt, view: _View) -> None:
        hints = Hints()
        self._refuse(self._unknown_classes(graph, view, hints))
        if not _outputs(graph, view, None) and not self._has_replaceable(graph, view):
            self._refuse([Fault("/prompt", "NO_OUTPUT", "The prompt has no output node, so there is nothing to run.")])
        self._refuse(_misspelt(graph, filled, view, hints))
        links = read_links(filled, view.output_types)
        ordered, stuck = order_of(filled, links.edges)
        loops = [cycle_fault(filled, steps) for steps in cycles(links.edges, stuck)] if stuck else []
        chain = chain_fault(ordered, stuck, links.edges)
        self._refuse([*links.dangling, *loops, *([chain] if chain is not None else [])])
        faults = [fault for node_id in filled for fault in self._inputs.faults(filled, node_id, view.get, hints)]
        self._refuse(faults)

    def recheck(self, prompt: Prompt, changed: Mapping[str, Collection[str]]) -> bool:
        """Of a prompt that passed ``submit``, but for other plain values in these inputs of these nodes: raises as ``submit``.

        Whether core takes the values as they stand, by the declarations alone: then it need not be asked.
        """
        nodes = {node_id: prompt[node_id] for node_id in changed}
        self._refuse(list(value_faults(nodes, self._rules.max_depth, self._rules.max_string_bytes)))
        view, hints = _View(self._definitions), Hints()
        self._refuse([fault for node_id in nodes for fault in self._inputs.faults(prompt, node_id, view.get, hints)])
        return all(
            self._inputs.settles(
                view.get(node["class_type"]), {name: node["inputs"][name] for name in changed[node_id]}
            )
            for node_id, node in nodes.items()
        )

    def declared(self, class_type: str) -> frozenset[str] | None:
        """The names of the inputs that a class declares; None: unknown, or there may be more."""
        return _View(self._definitions).input_names(class_type)

    def protect(self, body: object) -> None:
        """In front of stock ``/prompt``: raises ``Refused`` only for what core refuses or what would hurt the server.

        ``body`` is the parsed body, priority already lifted and its depth checked by ``parse_body``. What core refuses
        precisely and cheaply is left to core, and so are half-valid graphs.
        """
        if not isinstance(body, dict):
            text = f"The body must be an object, not {shown(body)}."
            raise refusal([Fault("", "INVALID_PROMPT", text, core_type="no_prompt")], 1)
        envelope = cast("dict[str, Any]", body)
        self._refuse(list(envelope_faults(envelope)))
        if "prompt" not in envelope:
            return  # core's no_prompt
        shape = shape_of(envelope["prompt"], numeric_ids_only=self._rules.numeric_ids_only)
        if shape.hurting:
            self._refuse(shape.all)
        if shape.refused_by_core:
            return
        graph = cast("Prompt", envelope["prompt"])
        self._limits_and_policy(graph)
        view = _View(self._definitions)
        links = read_links(graph, self._output_types or view.output_types)
        ordered, stuck = order_of(graph, links.edges)
        chain = chain_fault(ordered, stuck, links.edges)
        self._refuse([chain] if chain is not None else [])
        self._refuse_what_core_tells_badly(graph, view, links, stuck, envelope.get("partial_execution_targets"))

    def schema(self, class_type: str) -> dict[str, Any] | None:
        """The JSON Schema of a node of this class, or None if the server has no such class."""
        definition = self._definitions.get(class_type)
        if definition is None:
            return None
        known = self._schemas.get(class_type)
        if known is None or known[0] != definition:
            known = self._schemas[class_type] = (definition, node_schema(definition))
        return known[1]

    def schemas(self) -> dict[str, Any]:
        """The JSON Schema of whole prompts on this server, with every class under ``$defs``."""
        named = ((name, self.schema(name)) for name in self._definitions.names())
        return prompt_schema((name, schema) for name, schema in named if schema is not None)

    # -- stages ----------------------------------------------------------------------------------------------------

    def _sound(self, prompt: object) -> Prompt:
        shape = shape_of(prompt, numeric_ids_only=self._rules.numeric_ids_only)
        self._refuse(shape.all)
        graph = cast("Prompt", prompt)
        self._limits_and_policy(graph)
        return graph

    def _limits_and_policy(self, graph: Prompt) -> None:
        too_many = nodes_fault(len(graph), self._rules.max_nodes)
        self._refuse([too_many] if too_many is not None else [])
        self._refuse(list(value_faults(graph, self._rules.max_depth, self._rules.max_string_bytes)))
        self._refuse(list(self._policy.faults(graph)))

    def _unknown_classes(self, graph: Prompt, view: _View, hints: Hints) -> list[Fault]:
        return [
            _unknown(node_id, node["class_type"], hints, self._definitions)
            for node_id, node in graph.items()
            if view.get(node["class_type"]) is None and not self._replaceable(node["class_type"])
        ]

    def _has_replaceable(self, graph: Prompt, view: _View) -> bool:
        return any(view.get(node["class_type"]) is None for node in graph.values())

    def _filled(self, graph: Prompt, view: _View) -> Prompt:
        filled: Prompt | None = None
        for node_id, node in graph.items():
            definition = view.get(node["class_type"])
            if definition is None:
                continue
            compiled = self._inputs.compiled(definition)
            missing = {
                name: copy.deepcopy(definition.inputs[name].default)
                for name in compiled.required
                if name not in node["inputs"] and _has_default(definition.inputs[name])
            }
            usable = {name: value for name, value in missing.items() if compiled.literals[name].accepts(value)}
            if usable:
                filled = filled if filled is not None else dict(graph)
                filled[node_id] = {**node, "inputs": {**node["inputs"], **usable}}
        return graph if filled is None else filled

    def _refuse_what_core_tells_badly(
        self, graph: Prompt, view: _View, links: Links, stuck: set[str], targets: list[str] | None
    ) -> None:
        vague = bool(stuck or links.odd or links.dangling)
        if not vague and len(graph) <= _FEW_OUTPUTS:
            return
        if any(view.get(node["class_type"]) is None for node in graph.values()):
            return  # core refuses an unknown class before it looks at inputs, or replaces it
        outputs = _outputs(graph, view, targets)
        if not vague and len(outputs) <= _FEW_OUTPUTS:
            return
        hints = Hints()
        dangling: dict[str | None, list[Fault]] = {}
        for fault in links.dangling:
            dangling.setdefault(fault.node_id, []).append(fault)

        def declared(node_id: str) -> frozenset[str] | None:
            return view.input_names(graph[node_id]["class_type"])

        def faults(node_id: str) -> list[Fault]:
            names = declared(node_id)
            links_of = [each for each in dangling.get(node_id, ()) if names is None or each.input_name in names]
            return [*links_of, *self._inputs.faults(graph, node_id, view.get, hints)]

        seen = foresee(graph, outputs, links, faults, declared)
        if seen.faults and (seen.costly or (vague and seen.refused)):
            self._refuse(seen.faults)
        self._refuse(hurting_links(links, seen.good_outputs, declared))

    def _refuse(self, faults: Iterable[Fault]) -> None:
        found = tuple(faults)
        if found:
            raise refusal(found, self._rules.max_faults)


class _View:
    """The definitions as one request sees them: each class is asked for once."""

    def __init__(self, definitions: DefinitionSource) -> None:
        self._definitions = definitions
        self._seen: dict[str, NodeDefinition | None] = {}

    def get(self, class_type: str) -> NodeDefinition | None:
        if class_type not in self._seen:
            self._seen[class_type] = self._definitions.get(class_type)
        return self._seen[class_type]

    def output_types(self, class_type: str) -> tuple[str, ...] | None:
        definition = self.get(class_type)
        return None if definition is None else definition.output_types

    def input_names(self, class_type: str) -> frozenset[str] | None:
        definition = self.get(class_type)
        return None if definition is None or definition.dynamic_inputs else frozenset(definition.inputs)


def _outputs(graph: Prompt, view: _View, targets: list[str] | None) -> list[str]:
    wanted = None if targets is None else frozenset(targets)
    found: list[str] = []
    for node_id, node in graph.items():
        definition = view.get(node["class_type"])
        if definition is not None and definition.is_output_node and (wanted is None or node_id in wanted):
            found.append(node_id)
    return found


def _never(_class_type: str) -> bool:
    return False


def _has_default(declared: InputDefinition) -> bool:
    return declared.default is not MISSING and is_widget(declared)


def _unknown(node_id: str, class_type: str, hints: Hints, definitions: DefinitionSource) -> Fault:
    return Fault(
        pointer("prompt", node_id, "class_type"),
        "UNKNOWN_NODE",
        f"Node {short(node_id)}: this server has no node class {short(class_type)}.",
        hint=hints.did_you_mean(class_type, "classes", _LazyNames(definitions)),
        node_id=node_id,
        class_type=class_type,
        core_type="missing_node_type",
        core_details=f"Node ID '#{short(node_id)}'",
    )


def _misspelt(graph: Prompt, filled: Prompt, view: _View, hints: Hints) -> list[Fault]:
    """Undeclared inputs that look like one that a default had to be filled in for: a slip that must not pass silently."""
    faults: list[Fault] = []
    for node_id, node in filled.items():
        given = graph[node_id]["inputs"]
        declared = None if node is graph[node_id] else view.input_names(node["class_type"])
        if declared is None:
            continue
        missing = sorted(name for name in node["inputs"] if name not in given)
        for name in given:
            near = None if name in declared else hints.nearest(name, f"filled {' '.join(missing)}", missing)
            if near is not None:
                text = (
                    f"Node {short(node_id)}: {node['class_type']} has no input {shown(name)}, and {near!r} is missing."
                )
                hint = f"did you mean {near!r}?"
                place = pointer("prompt", node_id, "inputs", name)
                faults.append(
                    Fault(
                        place,
                        "INPUT_INVALID",
                        text,
                        hint=hint,
                        node_id=node_id,
                        class_type=node["class_type"],
                        input_name=name,
                    )
                )
    return faults


class _LazyNames:
    """The class names, listed only if a hint needs them."""

    def __init__(self, definitions: DefinitionSource) -> None:
        self._definitions = definitions

    def __iter__(self) -> Any:
        return iter(self._definitions.names())
