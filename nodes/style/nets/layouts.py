"""Which net a file holds: told by the names in it, and put together from them.

Owns the names of fast-neural-style, conditional-norm and AdaIN files. Channel counts come from the shapes. Adding a layout:
a claim, a builder and a line of what it looks like.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from .adain import DECODER_CONVS, ENCODER_CONVS, AdaptiveNorm
from .errors import BadModelFile
from .feed_forward import FeedForward
from .layers import Conv, Stage, TableAffine
from .net import StyleNet
from .parts import Parts
from .reading import Weights

# What torch's instance norm and TensorFlow's add to a variance.
_TORCH_EPS = 1e-5
_TENSORFLOW_EPS = 1e-3
# More blocks would look further than a part's halo.
_MOST_BLOCKS = 6


@dataclass(frozen=True, slots=True)
class Layout:
    """`claims` looks at names alone; `build` raises `BadModelFile` where a part is missing or does not fit."""

    title: str
    looks_like: str
    claims: Callable[[Parts], bool]
    build: Callable[[Parts], StyleNet]


def recognise(file: str, weights: Weights) -> StyleNet:
    """The net that these weights are; `BadModelFile` lists what would have been one."""
    parts = Parts(file, weights)
    for layout in LAYOUTS:
        if layout.claims(parts):
            return layout.build(parts)
    seen = ", ".join(sorted(weights)[:4])
    expected = "; ".join(f"{layout.title} ({layout.looks_like})" for layout in LAYOUTS)
    raise BadModelFile(f"{file} is no style net that is known: it begins with {seen}. Expected one of: {expected}.")


def is_decoder_alone(weights: Weights) -> bool:
    """Whether this is the second half of an AdaIN pair, whose encoder lies in a file of its own."""
    return all(f"{number}.weight" in weights for number in DECODER_CONVS) and "0.weight" not in weights


def _styles(parts: Parts, tables: list[TableAffine]) -> int:
    counts = {table.scale.shape[0] for table in tables}
    if len(counts) != 1:
        raise parts.refuse(f"its norms are of {' and '.join(map(str, sorted(counts)))} styles.")
    return counts.pop()


class _Builder:
    """Puts a feed-forward net together while it keeps count of channels and tables."""

    def __init__(self, parts: Parts, eps: float) -> None:
        self.parts, self.eps = parts, eps
        self.tables: list[TableAffine] = []
        self.channels = 3

    def stage(self, conv: str, norm: tuple[str, str] | None, kernel: int, stride: int = 1, **how: int | bool) -> Stage:
        """`conv` is the name of the weight; `norm` those of scale and shift."""
        bias = f"{conv.rpartition('.')[0]}.bias"
        outputs = how.get("outputs")
        made = self.parts.conv(conv, bias, self.channels, kernel, stride, None if outputs is None else int(outputs))
        self.channels = made.weight.shape[0]
        affine = None if norm is None else self.parts.table(*norm, self.channels)
        if affine is not None:
            self.tables.append(affine)
        return Stage(made, affine, self.eps, doubling=bool(how.get("doubling")))

    def blocks(self, names: Callable[[int, int], tuple[str, tuple[str, str]]]) -> list[tuple[Stage, Stage]]:
        """As many residual blocks as there are; `names` takes the number of the block and of its half."""
        count = next(i for i in range(_MOST_BLOCKS + 2) if i > _MOST_BLOCKS or not self.parts.has(names(i, 0)[0]))
        if count == 0 or count > _MOST_BLOCKS:
            raise self.parts.refuse(f"it has {count or 'no'} residual blocks or more; expected 1 to {_MOST_BLOCKS}.")
        width = self.channels
        pairs: list[tuple[Stage, Stage]] = []
        for i in range(count):
            first, second = (self.stage(conv, norm, 3, outputs=width) for conv, norm in (names(i, 0), names(i, 1)))
            pairs.append((first, second))
        return pairs


def _johnson_norm(parts: Parts, name: str) -> tuple[str, str]:
    conditional = parts.has(f"{name}.gamma")
    return (f"{name}.gamma", f"{name}.beta") if conditional else (f"{name}.weight", f"{name}.bias")


def _build_johnson(parts: Parts) -> StyleNet:
    make = _Builder(parts, _TORCH_EPS)

    def stage(conv: str, norm: str | None, kernel: int, stride: int = 1, **how: int | bool) -> Stage:
        names = None if norm is None else _johnson_norm(parts, norm)
        return make.stage(f"{conv}.conv2d.weight", names, kernel, stride, **how)

    def block(i: int, half: int) -> tuple[str, tuple[str, str]]:
        at = f"res{i + 1}"
        return f"{at}.conv{half + 1}.conv2d.weight", _johnson_norm(parts, f"{at}.in{half + 1}")

    down = [stage("conv1", "in1", 9), stage("conv2", "in2", 3, 2), stage("conv3", "in3", 3, 2)]
    blocks = make.blocks(block)
    up = [stage(f"deconv{i}", f"in{i + 3}", 3, doubling=True) for i in (1, 2)]
    up.append(stage("deconv3", None, 9, outputs=3))
    return FeedForward(down, blocks, up, styles=_styles(parts, make.tables), white=255.0)


def _build_conditional(parts: Parts) -> StyleNet:
    make = _Builder(parts, _TENSORFLOW_EPS)

    def names(at: str) -> tuple[str, tuple[str, str]]:
        return f"{at}.w", (f"{at}.norm.gamma", f"{at}.norm.beta")

    def block(i: int, half: int) -> tuple[str, tuple[str, str]]:
        return names(f"res.{i}.{half}")

    down = [make.stage(*names(f"contract.{i}"), 3 if i else 9, 2 if i else 1) for i in range(3)]
    blocks = make.blocks(block)
    up = [make.stage(*names(f"expand.{i}"), 3, doubling=True) for i in range(2)]
    up.append(make.stage(*names("expand.2"), 9, outputs=3))
    return FeedForward(down, blocks, up, styles=_styles(parts, make.tables), sigmoid=True)


def _chain(parts: Parts, prefix: str, numbers: tuple[int, ...], inputs: int, outputs: int | None) -> list[Conv]:
    """Convolutions that follow each other, each with its bias."""
    chain: list[Conv] = []
    for number in numbers:
        at = f"{prefix}{number}"
        kernel = 1 if prefix == "encoder." and number == 0 else 3
        wanted = outputs if number == numbers[-1] else None
        parts.take(f"{at}.bias", None)
        chain.append(parts.conv(f"{at}.weight", f"{at}.bias", inputs, kernel, outputs=wanted))
        inputs = chain[-1].weight.shape[0]
    return chain


def _build_adain(parts: Parts) -> StyleNet:
    encoder = _chain(parts, "encoder.", ENCODER_CONVS, 3, None)
    return AdaptiveNorm(encoder, _chain(parts, "decoder.", DECODER_CONVS, encoder[-1].weight.shape[0], 3))


LAYOUTS = (
    Layout(
        "fast-neural-style TransformerNet",
        "conv1.conv2d.weight, in1.weight or in1.gamma, res1.conv1.conv2d.weight … deconv3.conv2d.weight",
        lambda parts: parts.has("conv1.conv2d.weight"),
        _build_johnson,
    ),
    Layout(
        "conditional instance norm",
        "contract.0.w, contract.0.norm.gamma, res.0.0.w … expand.2.norm.beta",
        lambda parts: parts.has("contract.0.w"),
        _build_conditional,
    ),
    Layout(
        "AdaIN",
        "decoder 1.weight … 28.weight beside an encoder in a second file, or decoder.1.weight and encoder.0.weight in one",
        lambda parts: parts.has("decoder.1.weight") and parts.has("encoder.0.weight"),
        _build_adain,
    ),
)
