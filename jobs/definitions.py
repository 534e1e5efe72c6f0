"""What a node class declares, as plain records: the vocabulary between ``host`` (which reads it) and ``intake`` (which judges by it)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

MISSING: Any = object()
"""Stands for 'no default declared' (None is a legal default)."""


@dataclass(frozen=True, slots=True)
class InputDefinition:
    """One declared input.

    ``type`` is ComfyUI's type word (``INT``, ``IMAGE``, ``COMBO``, ``*``...); ``choices`` is the list of a combo, else None.
    ``options`` is the declared dictionary as it stands (min, max, default, forceInput, multiline...).
    """

    name: str
    type: str
    required: bool
    choices: tuple[Any, ...] | None = None
    default: Any = MISSING
    options: dict[str, Any] = field(default_factory=lambda: {})

    @property
    def is_dynamic(self) -> bool:
        """Whether it is a template that ComfyUI expands per prompt."""
        return "COMFY_" in self.type and "_V3" in self.type


@dataclass(frozen=True, slots=True)
class NodeDefinition:
    """One node class. An output type that is a list of choices is written by ``combo_type``.

    ``self_validated`` names inputs whose bounds core leaves to the node's own validation function (``validates_all`` when
    that takes any keyword). ``dynamic_inputs``: more inputs may come than are declared here. ``fingerprint`` changes
    whenever the declaration changes; empty: it cannot be told.
    """

    class_type: str
    inputs: dict[str, InputDefinition]
    output_types: tuple[str, ...]
    is_output_node: bool
    self_validated: frozenset[str] = frozenset()
    validates_all: bool = False
    dynamic_inputs: bool = False
    fingerprint: str = ""


def combo_type(choices: Sequence[Any]) -> str:
    """The type word of an output that gives one of ``choices``."""
    return json.dumps(list(choices), default=str)


class DefinitionSource(Protocol):
    """Where the live definitions come from (``host.definitions`` in a server)."""

    def get(self, class_type: str) -> NodeDefinition | None:
        """The class as declared now (combos change when files do), or None if this server has no such class."""
        ...

    def names(self) -> tuple[str, ...]:
        """All class types that this server has."""
        ...
