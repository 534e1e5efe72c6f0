"""JSON Schema (draft 2020-12) of a node class, made from its definition.

Owns the translation and nothing else: what is validated against it, and when, is ``inputs``. The schema describes the
canonical form of a node, which is what core makes of it (``"16"`` for an INT is read as 16 before the schema applies).
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from typing import Any, cast
from urllib.parse import quote

from ..jobs.definitions import MISSING, InputDefinition, NodeDefinition

DIALECT = "https://json-schema.org/draft/2020-12/schema"
LINK: dict[str, Any] = {
    "type": "array",
    "prefixItems": [{"type": "string"}, {"type": "integer"}],
    "minItems": 2,
    "maxItems": 2,
    "description": "[id of the node to read from, index of its output]",
}
_SCALARS = {"INT": "integer", "FLOAT": "number", "STRING": "string", "BOOLEAN": "boolean"}

# Types that only a link can carry. A fixed list: other words may have a widget in some pack's page files.
_LINK_ONLY = frozenset(
    {
        "AUDIO",
        "AUDIO_ENCODER",
        "AUDIO_ENCODER_OUTPUT",
        "CLIP",
        "CLIP_VISION",
        "CLIP_VISION_OUTPUT",
        "CONDITIONING",
        "CONTROL_NET",
        "GLIGEN",
        "GUIDER",
        "HOOKS",
        "HOOK_KEYFRAMES",
        "IMAGE",
        "LATENT",
        "LATENT_OPERATION",
        "LORA_MODEL",
        "LOSS_MAP",
        "MASK",
        "MODEL",
        "MODEL_PATCH",
        "NOISE",
        "PHOTOMAKER",
        "SAMPLER",
        "SIGMAS",
        "STYLE_MODEL",
        "TIMESTEPS_RANGE",
        "UPSCALE_MODEL",
        "VAE",
        "VIDEO",
    }
)


def is_link_only(declared: InputDefinition) -> bool:
    """Whether no literal can fit ``declared``."""
    if declared.choices is not None or declared.type.startswith("["):
        return False
    return all(part.strip() in _LINK_ONLY for part in declared.type.split(","))


def is_widget(declared: InputDefinition) -> bool:
    """Whether ``declared`` is a value typed in a widget, as opposed to a socket."""
    if declared.options.get("forceInput"):
        return False
    return declared.choices is not None or declared.type in _SCALARS or declared.type == "COMBO"


def offered(declared: InputDefinition) -> tuple[Any, ...] | None:
    """The values a combo takes, also where core leaves them unchecked (V3 combos), or None if that cannot be said here."""
    if declared.choices is not None:
        return declared.choices
    options = declared.options
    if declared.type != "COMBO" or any(
        options.get(word) for word in ("remote", "multiselect", "multi_select", "image_upload")
    ):
        return None
    if any(options.get(word) for word in ("video_upload", "audio_upload", "file_upload", "image_folder")):
        return None
    choices = options.get("options")
    return tuple(cast("list[Any]", choices)) if isinstance(choices, list) and choices else None


def literal_schema(declared: InputDefinition, *, bounded: bool) -> dict[str, Any]:
    """The schema of a value typed into ``declared``. ``bounded`` is false where core leaves min, max and choices to the
    node's own validation."""
    if declared.is_dynamic:
        return {}  # left to core
    if is_link_only(declared):
        # An optional one may be left empty with null, which is what a node gets when nothing is linked.
        return {"not": {}} if declared.required else {"type": "null"}
    if declared.type in _SCALARS:
        return {"type": _SCALARS[declared.type], **(_bounds(declared.options) if bounded else {})}
    choices = offered(declared) if bounded else None
    return {} if choices is None else {"enum": list(choices)}


def node_schema(definition: NodeDefinition) -> dict[str, Any]:
    """The schema of a node of this class in a prompt, for clients."""
    properties = {
        declared.name: _property(declared, bounded=is_bounded(definition, declared.name))
        for declared in definition.inputs.values()
    }
    required = [
        declared.name for declared in definition.inputs.values() if declared.required and not declared.is_dynamic
    ]
    return {
        "$schema": DIALECT,
        "title": definition.class_type,
        "type": "object",
        "required": ["class_type", "inputs"],
        "properties": {
            "class_type": {"const": definition.class_type},
            "inputs": {"type": "object", "properties": properties, "required": required},
            "_meta": {"type": "object"},
        },
    }


def prompt_schema(nodes: Iterable[tuple[str, dict[str, Any]]]) -> dict[str, Any]:
    """The schema of a whole prompt on this server, from ``(class_type, node_schema)`` pairs."""
    classes: dict[str, Any] = dict(nodes)
    return {
        "$schema": DIALECT,
        "title": "A prompt in ComfyUI's API format",
        "type": "object",
        "minProperties": 1,
        "additionalProperties": {
            "type": "object",
            "required": ["class_type", "inputs"],
            "properties": {"class_type": {"enum": list(classes)}, "inputs": {"type": "object"}},
            "allOf": [
                {
                    "if": {"properties": {"class_type": {"const": name}}},
                    "then": {"$ref": "#/$defs/" + quote(name.replace("~", "~0").replace("/", "~1"), safe="")},
                }
                for name in classes
            ],
        },
        "$defs": classes,
    }


def is_bounded(definition: NodeDefinition, name: str) -> bool:
    """Whether core itself checks min, max and choices of the input ``name``."""
    return not definition.validates_all and name not in definition.self_validated


def _property(declared: InputDefinition, *, bounded: bool) -> dict[str, Any]:
    literal = _plain(literal_schema(declared, bounded=bounded))
    shape: dict[str, Any] = {"anyOf": [literal, LINK]} if literal else {}
    if is_link_only(declared) and declared.required:
        shape = dict(LINK)
    if declared.default is not MISSING:
        shape["default"] = _plain(declared.default)
    tooltip = declared.options.get("tooltip")
    if isinstance(tooltip, str):
        shape["description"] = tooltip
    return {**shape, "x-comfyui-type": str(declared.type)}


def _bounds(options: dict[str, Any]) -> dict[str, Any]:
    bounds: dict[str, Any] = {}
    for word, keyword in (("min", "minimum"), ("max", "maximum")):
        limit = options.get(word)
        if isinstance(limit, (int, float)) and not isinstance(limit, bool) and math.isfinite(limit):
            bounds[keyword] = limit
    return bounds


def _plain(value: Any) -> Any:
    # Packs put anything into their declarations; what has no JSON is shown as text.
    try:
        return json.loads(json.dumps(value, default=str, allow_nan=False))
    except (TypeError, ValueError, RecursionError):
        return str(value)
