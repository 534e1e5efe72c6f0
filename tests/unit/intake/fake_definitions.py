"""A stub of the node definitions: a handful of hand-made classes and a log of who was asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from expeditor.jobs.definitions import MISSING, InputDefinition, NodeDefinition
from expeditor.jobs.errors import Refused


def declared(
    name: str,
    type_: str,
    *,
    required: bool = True,
    choices: Sequence[Any] | None = None,
    default: Any = MISSING,
    **options: Any,
) -> InputDefinition:
    """One declared input; ``options`` are the rest of its dictionary."""
    shown = options if default is MISSING else {"default": default, **options}
    return InputDefinition(name, type_, required, None if choices is None else tuple(choices), default, shown)


def node(
    class_type: str, *inputs: InputDefinition, gives: Sequence[str] = (), output: bool = False, **more: Any
) -> NodeDefinition:
    """One class; its fingerprint is its name."""
    fields = {"fingerprint": class_type, **more}
    return NodeDefinition(class_type, {each.name: each for each in inputs}, tuple(gives), output, **fields)


EMPTY_IMAGE = node(
    "EmptyImage",
    declared("width", "INT", default=512, min=1, max=16384, step=1),
    declared("height", "INT", default=512, min=1, max=16384, step=1),
    declared("batch_size", "INT", default=1, min=1, max=4096),
    declared("color", "INT", default=0, min=0, max=0xFFFFFF, step=1),
    gives=["IMAGE"],
)
SCALE = node(
    "ImageScale",
    declared("image", "IMAGE"),
    declared("upscale_method", "COMBO", choices=["nearest-exact", "bilinear", "area", "bicubic", "lanczos"]),
    declared("width", "INT", default=512, min=0, max=16384),
    declared("height", "INT", default=512, min=0, max=16384),
    declared("crop", "COMBO", choices=["disabled", "center"]),
    gives=["IMAGE"],
)
BLEND = node(
    "Blend",
    declared("a", "IMAGE"),
    declared("b", "IMAGE", required=False),
    declared("factor", "FLOAT", default=0.5, min=0.0, max=1.0),
    declared("free", "FLOAT", default=0.5),
    declared("note", "STRING", default=""),
    declared("flip", "BOOLEAN", default=False),
    declared("level", "COMBO", choices=[1, 2, 3], required=False),
    gives=["IMAGE", "MASK"],
)
SAVE = node(
    "SaveImage", declared("images", "IMAGE"), declared("filename_prefix", "STRING", default="ComfyUI"), output=True
)
STYLE = node(
    "Style", declared("image", "IMAGE"), declared("style", "COMBO", options=["vangogh", "sketch"]), gives=["IMAGE"]
)
ANYTHING = node("Anything", declared("value", "*"), declared("json", "CURVE", required=False), output=True)
LOADER = node(
    "Loader",
    declared("image", "COMBO", choices=["a.png"], image_upload=True),
    gives=["IMAGE", "MASK"],
    self_validated=frozenset({"cls", "image"}),
)
GROW = node("Grow", declared("images", "COMFY_AUTOGROW_V3"), gives=["IMAGE"], dynamic_inputs=True)

ALL = (EMPTY_IMAGE, SCALE, BLEND, SAVE, STYLE, ANYTHING, LOADER, GROW)


class FakeDefinitions:
    """The classes given, as if ComfyUI had just declared them."""

    def __init__(self, *definitions: NodeDefinition) -> None:
        self.by_name = {each.class_type: each for each in definitions or ALL}
        self.asked: list[str] = []

    def get(self, class_type: str) -> NodeDefinition | None:
        self.asked.append(class_type)
        return self.by_name.get(class_type)

    def names(self) -> tuple[str, ...]:
        return tuple(self.by_name)

    def change(self, class_type: str, name: str, **fields: Any) -> None:
        """Declare one input anew, as when a model file appears; the fingerprint changes with it."""
        old = self.by_name[class_type]
        inputs = {**old.inputs, name: replace(old.inputs[name], **fields)}
        self.by_name[class_type] = replace(old, inputs=inputs, fingerprint=old.fingerprint + "'")


def refusal_of(call: Callable[..., object], *args: Any) -> Refused | None:
    """The refusal that `call` raises, or None; anything else comes out."""
    try:
        call(*args)
    except Refused as refused:
        return refused
    return None


def graph() -> dict[str, Any]:
    """A prompt that every stage accepts."""
    return {
        "1": {"class_type": "EmptyImage", "inputs": {"width": 64, "height": 64, "batch_size": 1, "color": 255}},
        "2": {
            "class_type": "ImageScale",
            "inputs": {"image": ["1", 0], "upscale_method": "area", "width": 32, "height": 32, "crop": "disabled"},
        },
        "3": {
            "class_type": "SaveImage",
            "inputs": {"images": ["2", 0], "filename_prefix": "x"},
            "_meta": {"title": "Save"},
        },
    }
