"""Nets of model files paint what the written-out nets do; large pictures in parts that are normed as one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import Tensor

from expeditor.nodes.style.apply import Options, apply_style
from expeditor.nodes.style.color import chroma, rgb_to_oklab
from expeditor.nodes.style.frame import Frame
from expeditor.nodes.style.nets.files import load_net
from expeditor.nodes.style.nets.layers import STRIP_OPERATIONS, Conv
from expeditor.nodes.style.nets.net import StyleNet
from expeditor.nodes.style.nets.passes import Pass
from expeditor.nodes.style.nets.rendering import WHOLE_SIDE, net_preset, part_side
from expeditor.nodes.style.presets import Preset, Render
from expeditor.nodes.style.watch import Watch
from tests.host.style.literal_nets import Adaptive, ManyStyles, TransformerNet, shaken

Literal = Callable[[Tensor, int, Tensor], Tensor]
CPU = torch.device("cpu")


def _on() -> None:
    """Goes on."""


def picture(height: int, width: int, seed: int = 1) -> Tensor:
    """Smooth colours with edges in them, `[3, H, W]`."""
    rng = torch.Generator().manual_seed(seed)
    coarse = torch.rand((1, 3, max(2, height // 16), max(2, width // 16)), generator=rng)
    smooth = torch.nn.functional.interpolate(coarse, size=(height, width), mode="bicubic")[0]
    return (smooth + 0.05 * torch.rand((3, height, width), generator=rng)).clamp(0, 1)


def transformer(folder: Path) -> tuple[Path, Literal]:
    net = shaken(TransformerNet())
    state = net.state_dict()
    state["in1.running_mean"] = torch.zeros(4)  # files of torch before 0.4 have these
    torch.save(state, folder / "candy.pth")
    return folder / "candy.pth", lambda x, style, reference: net(x * 255) / 255


def transformer_of_many(folder: Path) -> tuple[Path, Literal]:
    """The same layout with a row of scales and shifts per style."""
    nets = [shaken(TransformerNet()) for _ in range(3)]
    state = nets[0].state_dict()
    for other in nets[1:]:
        other.load_state_dict({**state, **{k: v for k, v in other.state_dict().items() if ".in" in f".{k}"}})
    many: dict[str, Tensor] = {}
    for key, value in state.items():
        if ".in" in f".{key}":
            at, _, kind = key.rpartition(".")
            rows = torch.stack([net.state_dict()[key] for net in nets])
            many[f"{at}.{'gamma' if kind == 'weight' else 'beta'}"] = rows[:, :, None, None]
        else:
            many[key] = value
    torch.save({"state_dict": {f"module.{key}": value for key, value in many.items()}}, folder / "many.pt")
    return folder / "many.pt", lambda x, style, reference: nets[style % 3](x * 255) / 255


def conditional(folder: Path) -> tuple[Path, Literal]:
    net = ManyStyles(styles=3)
    safetensors.torch.save_file(net.state_dict(), folder / "pastiche.safetensors")
    return folder / "pastiche.safetensors", lambda x, style, reference: net(x, style % 3)


def adaptive(folder: Path) -> tuple[Path, Literal]:
    net = Adaptive().eval()
    safetensors.torch.save_file(net.state_dict(), folder / "both.safetensors")
    return folder / "both.safetensors", lambda x, style, reference: net(x, reference)


def adaptive_in_two(folder: Path) -> tuple[Path, Literal]:
    net = Adaptive().eval()
    torch.save(net.decoder.state_dict(), folder / "decoder.pth")
    # The published encoder goes on to relu5_4; what is behind relu4_1 is not used.
    torch.save({**net.encoder.state_dict(), "32.weight": torch.zeros(10, 10, 3, 3)}, folder / "vgg_normalised.pth")
    return folder / "decoder.pth", lambda x, style, reference: net(x, reference)


LAYOUTS = [transformer, transformer_of_many, conditional, adaptive, adaptive_in_two]
each_layout = pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.__name__)


def painter(net: StyleNet) -> Preset:
    return net_preset("a file", net)


def paint(net: StyleNet, rgb: Tensor, *, seed: int = 0, tile: int = 256, watch: Watch | None = None) -> Tensor:
    frame = Frame.of(rgb.shape[1], rgb.shape[2], 1.0, CPU)
    reference = picture(70, 90, seed=9)
    with torch.no_grad():
        return painter(net).render(Render(rgb, frame, seed, tile, watch or Watch(), reference=reference))


@each_layout
@pytest.mark.parametrize("size", [(64, 96), (61, 83)])
def test_a_file_paints_what_its_net_does(
    layout: Callable[[Path], tuple[Path, Literal]], size: tuple[int, int], tmp_path: Path
) -> None:
    torch.manual_seed(4)
    path, literal = layout(tmp_path)
    net, rgb = load_net(path), picture(*size)
    for seed in (0, 1, 4):
        with torch.no_grad():
            expected = literal(rgb.unsqueeze(0), seed, picture(70, 90, seed=9).unsqueeze(0))
        expected = expected[0, :, : size[0], : size[1]].clamp(0, 1)
        got = paint(net, rgb, seed=seed)
        assert float((got - expected).abs().max()) < 2e-4
        assert float(expected.std()) > 0.01, "a flat picture would prove nothing"


@each_layout
def test_parts_are_the_whole_where_the_same_is_measured(
    layout: Callable[[Path], tuple[Path, Literal]], tmp_path: Path
) -> None:
    torch.manual_seed(5)
    net = load_net(layout(tmp_path)[0])
    rgb = picture(301, WHOLE_SIDE + 61)
    with torch.no_grad():
        style = net.style(1, picture(70, 90, seed=9), _on)
        whole_pass = Pass(_on)
        whole = net(rgb.unsqueeze(0), style, whole_pass)[0].clamp(0, 1)
        thumbnail = Pass(_on)
        net(
            torch.nn.functional.interpolate(rgb.unsqueeze(0), size=(279, 768), mode="bilinear", antialias=True),
            style,
            thumbnail,
        )
        same_norms = net(rgb.unsqueeze(0), style, Pass(_on, thumbnail.seen))[0].clamp(0, 1)
    for tile in (4096, 64, 40):
        assert float((paint(net, rgb, seed=1, tile=tile) - same_norms).abs().max()) < 1e-3, tile
    assert float((same_norms - whole).abs().mean()) < 0.1, "a thumbnail measures about the same"


@each_layout
@pytest.mark.parametrize("size", [(8, 8), (1, 1), (3, 200), (200, 2)])
def test_tiny_pictures_are_painted(
    layout: Callable[[Path], tuple[Path, Literal]], size: tuple[int, int], tmp_path: Path
) -> None:
    painted = paint(load_net(layout(tmp_path)[0]), picture(*size))
    assert painted.shape == (3, *size)
    assert bool(torch.isfinite(painted).all())


@pytest.mark.parametrize("size", [(40, 50), (WHOLE_SIDE + 1, 30), (900, 1300)])
def test_every_step_is_told_and_each_may_stop_the_work(size: tuple[int, int], tmp_path: Path) -> None:
    net, ticks, checks = load_net(conditional(tmp_path)[0]), [0], [0]

    def tick() -> None:
        ticks[0] += 1

    def check() -> None:
        checks[0] += 1

    rgb = picture(*size)
    paint(net, rgb, tile=128, watch=Watch(tick, check))
    assert ticks[0] == painter(net).steps(*size, 128)
    assert checks[0] > 10 * ticks[0], "a check before every layer, as one part may take seconds"

    class Stopped(Exception):
        """Stands for the host's interruption."""

    def stop() -> None:
        raise Stopped

    with pytest.raises(Stopped):
        paint(net, rgb, watch=Watch(check=stop))


def test_a_large_layer_is_computed_in_strips_that_do_not_show() -> None:
    rng, checks = torch.Generator().manual_seed(1), [0]
    x = torch.rand((1, 64, 203, 210), generator=rng)
    for kernel, stride in ((9, 1), (3, 1), (3, 2)):
        weight, bias = torch.randn((64, 64, kernel, kernel), generator=rng), torch.randn(64, generator=rng)
        expected = torch.nn.functional.conv2d(
            torch.nn.functional.pad(x, (kernel // 2,) * 4, mode="reflect"), weight, bias, stride=stride
        )

        def check() -> None:
            checks[0] += 1

        checks[0] = 0
        assert torch.allclose(Conv(weight, bias, stride)(x, check), expected, atol=1e-2, rtol=1e-4)
        operations = 2 * weight.numel() * expected.shape[-1] * expected.shape[-2]
        assert checks[0] >= operations / STRIP_OPERATIONS


def test_intensity_is_a_straight_blend_and_a_batch_is_its_pictures(tmp_path: Path) -> None:
    torch.manual_seed(6)
    preset = painter(load_net(transformer(tmp_path)[0]))
    batch = torch.stack([picture(48, 64, seed) for seed in (1, 2)]).permute(0, 2, 3, 1)
    full = apply_style(batch, preset, 1.0, Options())
    assert torch.equal(apply_style(batch, preset, 0.3, Options()), torch.lerp(batch, full, 0.3))
    assert apply_style(batch, preset, 0.0, Options()) is batch
    assert torch.equal(full[1:], apply_style(batch[1:], preset, 1.0, Options()))


def test_palette_strength_0_keeps_the_colours_of_the_picture(tmp_path: Path) -> None:
    torch.manual_seed(6)
    preset = painter(load_net(transformer(tmp_path)[0]))
    grey = torch.rand((1, 60, 70, 1), generator=torch.Generator().manual_seed(1)).expand(-1, -1, -1, 3) * 0.6 + 0.2
    chromas = []
    for strength in (0.0, 0.5, 1.0):
        painted = apply_style(grey, preset, 1.0, Options(palette_strength=strength))
        chromas.append(float(chroma(rgb_to_oklab(painted[0].permute(2, 0, 1))).mean()))
    assert chromas[0] < 0.01 < chromas[1] < chromas[2]


def test_a_net_that_needs_a_reference_says_so(tmp_path: Path) -> None:
    preset = painter(load_net(adaptive(tmp_path)[0]))
    assert preset.needs_reference
    with pytest.raises(ValueError, match="connect style_image"):
        apply_style(picture(20, 20).permute(1, 2, 0)[None], preset, 1.0, Options())


def test_parts_begin_where_the_net_halves_evenly() -> None:
    for tile in range(1, 5000):
        assert 8 <= part_side(tile) <= 512
        assert part_side(tile) % 8 == 0
