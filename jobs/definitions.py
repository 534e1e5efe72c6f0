"""What a node class declares, as plain records: the vocabulary between ``host`` (which reads it) and ``intake`` (which judges by it)."""

from __future__ import annotations

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


@dataclass(frozen=True, slots=True)
class NodeDefinition:
    """One node class. ``self_validated`` names inputs whose bounds core leaves to the node's own validation function
    (``validates_all`` when that takes any keyword). ``fingerprint`` changes whenever the declaration changes."""

    class_type: str
    inputs: dict[str, InputDefinition]
    output_types: tuple[str, ...]
    is_output_node: bool
    self_validated: frozenset[str] = frozenset()
    validates_all: bool = False
    dynamic_inputs: bool = False
    fingerprint: str = ""


class DefinitionSource(Protocol):
    """Where the live definitions come from (``host.definitions`` in a server)."""

    def get(self, class_type: str) -> NodeDefinition | None:
        """The class as declared now (combos change when files do), or None if this server has no such class."""
        ...

    def names(self) -> tuple[str, ...]:
        """All class types that this server has."""
        ...
