"""Reading node classes, V1 and V3, well-behaved or not, without a ComfyUI."""
# ruff: noqa: ARG003, N802 - ComfyUI dictates these names

from __future__ import annotations

from typing import Any

import pytest

from expeditor.host.definitions import LiveDefinitions
from expeditor.jobs.definitions import MISSING, NodeDefinition

FILES = ["a.safetensors"]


class Sampler:
    RETURN_TYPES = ("LATENT", ["euler", "ddim"])

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {
                "model": ("MODEL",),
                "steps": ("INT", {"default": 20, "min": 1, "max": 100}),
                "name": (FILES,),
                "both": ("INT",),
            },
            "optional": {"mask": ("MASK", {"tooltip": "where"}), "both": ("FLOAT",)},
            "hidden": {"unique_id": "UNIQUE_ID"},
        }


class Save:
    RETURN_TYPES = ()
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {"required": {"images": ("IMAGE",), "style": ("COMBO", {"options": ["a"]})}}

    @classmethod
    def VALIDATE_INPUTS(cls, images: Any, input_types: Any) -> bool:
        return True


class JudgesAll(Save):
    @classmethod
    def VALIDATE_INPUTS(cls, **kwargs: Any) -> bool:
        return True


class V3Base:
    @classmethod
    def GET_BASE_CLASS(cls) -> type:
        return V3Base

    @classmethod
    def define_schema(cls) -> Any:
        raise NotImplementedError

    @classmethod
    def validate_inputs(cls, **kwargs: Any) -> bool:
        raise NotImplementedError

    RETURN_TYPES = ("IMAGE",)
    OUTPUT_NODE = False

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {"required": {"seed": ("INT", {"min": 0}), "grow": ("COMFY_AUTOGROW_V3", {})}}


class V3Plain(V3Base):
    pass


class V3Judges(V3Base):
    @classmethod
    def validate_inputs(cls, seed: int) -> bool:
        return True


class Raises:
    RETURN_TYPES = ("IMAGE",)
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        raise RuntimeError("no models folder")


class Malformed:
    RETURN_TYPES = "IMAGE"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {"a": "IMAGE", "b": (), "c": ("INT", None), "d": (("x", "y"), {}), "e": (5,)},
            "optional": None,
        }


class NoOutputs:
    @property
    def RETURN_TYPES(self) -> Any:
        raise RuntimeError

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {}


CLASSES = {each.__name__: each for each in (Sampler, Save, JudgesAll, V3Plain, V3Judges, Raises, Malformed, NoOutputs)}


def definitions(checks_v3_combos: bool = False) -> LiveDefinitions:
    return LiveDefinitions(lambda: CLASSES, lambda: checks_v3_combos)


def read(name: str, **options: Any) -> NodeDefinition:
    found = definitions(**options).get(name)
    assert found is not None
    return found


def test_a_v1_class_is_read_as_declared() -> None:
    sampler = read("Sampler")
    assert set(sampler.inputs) == {"model", "steps", "name", "both", "mask"}
    assert sampler.output_types == ("LATENT", '["euler", "ddim"]')
    assert sampler.inputs["steps"].options == {"default": 20, "min": 1, "max": 100}
    assert (sampler.inputs["steps"].default, sampler.inputs["model"].default) == (20, MISSING)
    assert (sampler.inputs["name"].type, sampler.inputs["name"].choices) == ("COMBO", ("a.safetensors",))
    assert sampler.inputs["both"].required
    assert not sampler.inputs["mask"].required
    assert not sampler.is_output_node


def test_what_a_node_judges_itself_is_noted() -> None:
    assert read("Sampler").self_validated == frozenset()
    assert {"images", "input_types"} <= read("Save").self_validated
    assert not read("Save").validates_all
    assert read("JudgesAll").validates_all
    assert read("V3Plain").self_validated == frozenset()
    assert not read("V3Plain").validates_all
    assert "seed" in read("V3Judges").self_validated
    assert read("V3Plain").dynamic_inputs


@pytest.mark.parametrize(("checks", "choices"), [(False, None), (True, ("a",))])
def test_v3_combos_have_choices_where_core_checks_them(checks: bool, choices: Any) -> None:
    assert read("Save", checks_v3_combos=checks).inputs["style"].choices == choices


def test_a_class_whose_declaration_raises_is_left_to_core() -> None:
    broken = read("Raises")
    assert broken.inputs == {}
    assert broken.output_types == ("IMAGE",)
    assert broken.is_output_node
    assert broken.dynamic_inputs


def test_malformed_declarations_are_left_to_core() -> None:
    odd = read("Malformed")
    assert {name: each.type for name, each in odd.inputs.items()} == {
        "a": "*",
        "b": "*",
        "c": "INT",
        "d": "*",
        "e": "*",
    }
    assert odd.output_types == tuple("IMAGE")  # core indexes the word too
    assert read("NoOutputs").output_types == ()
    assert definitions().output_types("NoOutputs") is None


def test_unknown_classes_and_names() -> None:
    assert definitions().get("Nope") is None
    assert definitions().output_types("Nope") is None
    assert definitions().output_types("Sampler") == ("LATENT", '["euler", "ddim"]')
    assert definitions().names() == tuple(CLASSES)


def test_the_record_is_kept_until_the_declaration_changes_even_in_place() -> None:
    source = definitions()
    first = source.get("Sampler")
    assert source.get("Sampler") is first
    FILES.append("b.safetensors")
    try:
        second = source.get("Sampler")
    finally:
        FILES.pop()
    assert first is not None
    assert second is not None
    assert second.inputs["name"].choices == ("a.safetensors", "b.safetensors")
    assert second.fingerprint != first.fingerprint


def test_a_class_replaced_under_its_name_is_read_anew() -> None:
    classes: dict[str, Any] = {"Node": Sampler}
    source = LiveDefinitions(lambda: classes, lambda: False)
    assert source.get("Node").is_output_node is False  # type: ignore[union-attr]
    classes["Node"] = Save
    assert source.get("Node").is_output_node is True  # type: ignore[union-attr]


class Unequal:
    """Raises when compared, as arrays of several numbers do."""

    def __eq__(self, other: object) -> bool:
        raise ValueError

    __hash__ = None  # type: ignore[assignment]


def test_declarations_that_cannot_be_compared_are_read_each_time() -> None:
    class Odd:
        RETURN_TYPES = ()

        @classmethod
        def INPUT_TYPES(cls) -> dict[str, Any]:
            return {"required": {"a": ("INT", {"default": Unequal()})}}

    source = LiveDefinitions(lambda: {"Odd": Odd}, lambda: False)
    assert source.get("Odd") is not source.get("Odd")
