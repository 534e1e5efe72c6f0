"""The node classes of this ComfyUI as plain records, V1 and V3 alike.

Owns reading declarations. ``INPUT_TYPES`` is called afresh each time, since combos change when files do; the parsed
record is kept while the declaration stays equal to a copy taken then. A pack whose declaration raises or is malformed
gets a record that leaves its inputs to core. Judges nothing.
"""

from __future__ import annotations

import inspect
import itertools
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from ..jobs.definitions import MISSING, InputDefinition, NodeDefinition, combo_type

log = logging.getLogger("expeditor.host")

_LEFT_TO_CORE = "*"


@dataclass(frozen=True, slots=True)
class _Kept:
    node_class: Any
    declaration: Any
    definition: NodeDefinition


class LiveDefinitions:
    """``jobs.definitions.DefinitionSource`` over ComfyUI's node classes. Never raises."""

    def __init__(
        self,
        mappings: Callable[[], Mapping[str, Any]] | None = None,
        core_checks_v3_combos: Callable[[], bool] | None = None,
    ) -> None:
        """``mappings`` gives the classes by name (default: ComfyUI's); ``core_checks_v3_combos`` tells whether core's
        validation looks into the options of a V3 combo (default: detected)."""
        self._mappings = mappings or comfy_mappings
        self._checks_v3_combos = core_checks_v3_combos or _core_checks_v3_combos
        self._kept: dict[str, _Kept] = {}
        self._serial = itertools.count(1)
        self._complained: set[str] = set()

    def names(self) -> tuple[str, ...]:
        """All class types that this server has."""
        return tuple(name for name in self._mappings() if isinstance(cast("object", name), str))

    def get(self, class_type: str) -> NodeDefinition | None:
        """The class as declared now, or None if this server has no such class."""
        node_class = self._mappings().get(class_type)
        if node_class is None:
            return None
        try:
            declared = node_class.INPUT_TYPES()
            kept = self._kept.get(class_type)
            if kept is not None and kept.node_class is node_class and _equal(kept.declaration, declared):
                return kept.definition
            definition = self._read(class_type, node_class, declared)
            self._kept[class_type] = _Kept(node_class, _copied(declared), definition)
        except Exception as fault:  # noqa: BLE001 - other packs' code: whatever it raises, core reports it when the node is used
            return self._unreadable(class_type, node_class, fault)
        return definition

    def output_types(self, class_type: str) -> tuple[str, ...] | None:
        """The output types alone, without asking for the inputs; None if there is no such class or it cannot say."""
        node_class = self._mappings().get(class_type)
        return None if node_class is None else _outputs(node_class)

    def _read(self, class_type: str, node_class: Any, declared: Any) -> NodeDefinition:
        judged = _validation_arguments(node_class)
        inputs: dict[str, InputDefinition] = {}
        # An input named in both is required: that is where core looks first.
        for category in ("optional", "required"):
            for name, info in dict(declared.get(category) or {}).items():
                inputs[name] = self._input(name, info, required=category == "required")
        outputs = _outputs(node_class)
        return NodeDefinition(
            class_type=class_type,
            inputs=inputs,
            output_types=outputs or (),
            is_output_node=getattr(node_class, "OUTPUT_NODE", False) is True,
            self_validated=judged[0],
            validates_all=judged[1],
            dynamic_inputs=any(each.is_dynamic for each in inputs.values()),
            fingerprint=f"{class_type}#{next(self._serial)}",
        )

    def _input(self, name: str, info: Any, *, required: bool) -> InputDefinition:
        pair: tuple[Any, ...] = tuple(cast("list[Any]", info)) if isinstance(info, (tuple, list)) else ()
        kind = pair[0] if pair else _LEFT_TO_CORE
        given = pair[1] if len(pair) > 1 else None
        options = dict(cast("dict[str, Any]", given)) if isinstance(given, dict) else {}
        choices: tuple[Any, ...] | None = None
        if isinstance(kind, list):
            choices, kind = tuple(cast("list[Any]", kind)), "COMBO"
        elif not isinstance(kind, str):
            kind = _LEFT_TO_CORE
        elif kind == "COMBO" and self._checks_v3_combos():
            choices = _v3_choices(options)
        return InputDefinition(name, kind, required, choices, options.get("default", MISSING), options)

    def _unreadable(self, class_type: str, node_class: Any, fault: Exception) -> NodeDefinition:
        if class_type not in self._complained:
            self._complained.add(class_type)
            log.info("the inputs of node class %s cannot be read (%r); they are left to ComfyUI", class_type, fault)
        return NodeDefinition(
            class_type=class_type,
            inputs={},
            output_types=_outputs(node_class) or (),
            is_output_node=getattr(node_class, "OUTPUT_NODE", False) is True,
            dynamic_inputs=True,
        )


def comfy_mappings() -> Mapping[str, Any]:
    """ComfyUI's node classes by name, as they are now."""
    import nodes

    return cast("Mapping[str, Any]", nodes.NODE_CLASS_MAPPINGS)


def _core_checks_v3_combos() -> bool:
    # Newer cores compare the type with `io.Combo.io_type`; a function's names tell without its source.
    import execution

    code = getattr(getattr(execution, "validate_inputs", None), "__code__", None)
    return code is not None and "Combo" in code.co_names


def _v3_choices(options: dict[str, Any]) -> tuple[Any, ...] | None:
    listed = options.get("options")
    if not isinstance(listed, list) or options.get("multiselect") or options.get("remote"):
        return None
    return tuple(cast("list[Any]", listed))


def _outputs(node_class: Any) -> tuple[str, ...] | None:
    try:
        return tuple(_output_type(kind) for kind in node_class.RETURN_TYPES)
    except Exception:  # noqa: BLE001 - a property of another pack; core reports it when a link asks for it
        return None


def _output_type(kind: Any) -> str:
    # Type words stay the objects they are: packs override their comparison. A list of choices becomes its JSON.
    if isinstance(kind, str):
        return kind
    return combo_type(cast("Sequence[Any]", kind)) if isinstance(kind, (list, tuple)) else _LEFT_TO_CORE


def _validation_arguments(node_class: Any) -> tuple[frozenset[str], bool]:
    """The names that the node's own validation takes, and whether it takes any keyword."""
    function = _v3_validation(node_class) if _is_v3(node_class) else getattr(node_class, "VALIDATE_INPUTS", None)
    if function is None:
        return frozenset(), False
    spec = inspect.getfullargspec(function)
    return frozenset(spec.args), spec.varkw is not None


def _is_v3(node_class: Any) -> bool:
    return hasattr(node_class, "GET_BASE_CLASS") and hasattr(node_class, "define_schema")


def _v3_validation(node_class: Any) -> Any:
    # Every V3 class has `validate_inputs`; only one written below the base class counts.
    base = node_class.GET_BASE_CLASS()
    for each in node_class.mro():
        if each is base:
            return None
        if "validate_inputs" in vars(each):
            return node_class.validate_inputs
    return None


def _equal(kept: Any, declared: Any) -> bool:
    try:
        return bool(kept == declared)
    except Exception:  # noqa: BLE001 - a declaration may hold arrays and the like; then it counts as changed
        return False


def _copied(declared: Any) -> Any:
    """A copy of what equality looks at: packs hand out the same lists and dictionaries again and change them in place."""
    if isinstance(declared, dict):
        return {key: _copied(value) for key, value in cast("dict[Any, Any]", declared).items()}
    if isinstance(declared, list):
        return [_copied(value) for value in cast("list[Any]", declared)]
    if isinstance(declared, tuple):
        return tuple(_copied(value) for value in cast("tuple[Any, ...]", declared))
    return declared
