"""Which model files a prompt names: what counts as one, what does not, and that nothing odd can make it fail."""

from __future__ import annotations

import pytest

from expeditor.jobs.models_named import MODELS_MAX, models_named, models_of


def node(class_type: object, **inputs: object) -> dict[str, object]:
    return {"class_type": class_type, "inputs": inputs}


def test_the_files_of_an_ordinary_prompt():
    prompt = {
        "1": node("CheckpointLoaderSimple", ckpt_name="sdxl\\base.safetensors"),
        "2": node("LoraLoader", lora_name="style.SafeTensors", strength_model=0.8, model=["1", 0], clip=["1", 1]),
        "3": node("DualCLIPLoader", clip_name1="clip_l.safetensors", clip_name2="t5", type="flux", device="default"),
        "4": node("VAELoader", vae_name="taesd"),
        "5": node("KSampler", sampler_name="euler", scheduler="normal", steps=20, model=["2", 0]),
        "6": node("CLIPTextEncode", text="a cat, no .safetensors in sight. really", clip=["2", 1]),
        "7": node("Anything", custom="deep/one.gguf"),
        "8": node("SaveImage", filename_prefix="out.png", images=["9", 0]),
        "9": node("LoadImage", image="cat.png"),
    }
    names = ("clip_l.safetensors", "deep/one.gguf", "sdxl/base.safetensors", "style.SafeTensors", "t5", "taesd")
    assert models_named(prompt) == names


@pytest.mark.parametrize("ending", ["safetensors", "sft", "ckpt", "pt", "pth", "bin", "gguf", "onnx"])
def test_what_a_model_file_ends_in(ending):
    assert models_of(node("Odd", file=f"m.{ending}")) == {f"m.{ending}"}
    assert models_of(node("Odd", file=f"m.{ending} is a file")) == frozenset()


@pytest.mark.parametrize("value", ["None", "", " ", "Baked VAE", "default"])
def test_a_loader_told_to_load_nothing_names_nothing(value):
    assert models_of(node("LoraLoader", lora_name=value)) == frozenset()


def test_a_file_named_twice_counts_once():
    prompt = {str(n): node("CheckpointLoaderSimple", ckpt_name="a.safetensors") for n in range(3)}
    assert models_named(prompt) == ("a.safetensors",)


def test_many_and_long_names_are_bounded():
    prompt = {str(n): node("L", file=f"{n:03}.safetensors") for n in range(500)}
    assert models_named(prompt) == tuple(f"{n:03}.safetensors" for n in range(MODELS_MAX))
    assert models_of(node("L", file="x" * 600 + ".safetensors")) == frozenset()


def test_a_name_that_no_store_can_hold_is_left_out():
    prompt = {"1": node("L", a="half \ud800.safetensors", b="Modèle.safetensors")}
    assert models_named(prompt) == ("Modèle.safetensors",)


@pytest.mark.parametrize(
    "odd",
    [
        None,
        7,
        [],
        {},
        {"inputs": None},
        {"inputs": []},
        {"class_type": ["VAELoader"], "inputs": {"vae_name": "taesd"}},
        {"class_type": "VAELoader", "inputs": {"vae_name": {"__value__": ["taesd"]}}},
        {"class_type": "VAELoader", "inputs": {7: "x", None: "y", ("a", "b"): "z"}},
    ],
)
def test_nothing_odd_makes_it_fail(odd):
    assert models_named({"1": odd}) == ()
