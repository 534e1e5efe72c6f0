"""The node that paints a picture in a style: schema, device, progress and interruption.

Owns what ComfyUI has to be asked or told. The painting itself is `style.apply`.
"""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING, Any

import comfy.cli_args
import comfy.model_management
import comfy.utils
from comfy_api.latest import io

from .schema import schema
from .style_models import file_names, find_style

if TYPE_CHECKING:
    from PIL.Image import Image

    from .style.apply import Options, Style

NODE_ID = "StyleTransferNode"
# A stroke layer is painted faster in tiles that fit the processor's cache; a GPU wants few and large ones.
CPU_TILE = 256
GPU_TILE = 2048
SMALLEST_TILE = 128
# Peak of a render on a GPU, in bytes per pixel of one picture; asked of ComfyUI before the work starts.
GPU_BYTES_PER_PIXEL = 300


class StyleTransferNode(io.ComfyNode):
    """One of our styles, or a net from a file in `models/style_transfer`."""

    @classmethod
    def define_schema(cls) -> Any:
        """One picture batch in, one of the same shape out."""
        return schema(
            node_id=NODE_ID,
            display_name="Style transfer",
            category="Expeditor/Style",
            description="Paints pictures in a style, with brush, paint or pencil. Needs no model files; style nets that you have work too.",
            inputs=_inputs(),
            outputs=[io.Image.Output("IMAGE", tooltip="The painted pictures, of the same size.")],
            search_aliases=["painting", "van gogh", "pencil", "sketch", "artistic"],
        )

    @classmethod
    def execute(
        cls,
        image: Any,
        style: str,
        intensity: float,
        seed: int = 0,
        stroke_scale: float = 1.0,
        palette_strength: float = 1.0,
        style_image: Any = None,
        mask: Any = None,
    ) -> Any:
        """Paint on ComfyUI's device; the result lies on its intermediate device."""
        from .style.apply import Options, with_smaller_tiles

        if not intensity > 0:  # the input as it is, also where the style's file is large
            return io.NodeOutput(image)
        device = comfy.model_management.get_torch_device()
        on_cpu = device.type == "cpu"
        options = Options(
            seed=seed,
            stroke_scale=stroke_scale,
            palette_strength=palette_strength,
            reference=style_image,
            mask=mask,
            tile=CPU_TILE if on_cpu else GPU_TILE,
            device=device,
            output_device=comfy.model_management.intermediate_device(),
        )
        if not on_cpu:
            # Models that lie on the device make room, and come back when they are used again.
            need = math.prod(image.shape[1:3]) * GPU_BYTES_PER_PIXEL
            comfy.model_management.free_memory(need, device)
        painter = find_style(style)

        def render(tile: int) -> Any:
            if tile < options.tile:
                comfy.model_management.soft_empty_cache()
            return _paint(image, painter, intensity, dataclasses.replace(options, tile=tile))

        return io.NodeOutput(with_smaller_tiles(render, options.tile, SMALLEST_TILE, _is_out_of_memory))


def _inputs() -> list[Any]:
    from .style.presets import PRESETS, REFERENCE_PRESETS

    return [
        io.Image.Input("image", tooltip="Pictures to paint; each of a batch is painted by itself."),
        io.Combo.Input(
            "style",
            options=[*(preset.name for preset in PRESETS + REFERENCE_PRESETS), *file_names()],
            default=PRESETS[0].name,
            tooltip="Brush: vangogh, monet, oil, pointillism. Paint and line: watercolor, sketch, charcoal, comic, ukiyoe, mosaic. "
            "Of style_image alone: color_match, reference. Then the files in models/style_transfer.",
        ),
        io.Float.Input(
            "intensity",
            default=0.7,
            min=0.0,
            max=1.0,
            step=0.01,
            tooltip="0 returns the picture untouched, 1 the style alone, between a blend of the two.",
        ),
        *_optional_inputs(),
    ]


def _optional_inputs() -> list[Any]:
    return [
        io.Int.Input(
            "seed",
            default=0,
            min=0,
            max=0xFFFFFFFFFFFFFFFF,
            # A seed that changes by itself would paint every picture again on every run.
            control_after_generate=False,
            optional=True,
            tooltip="Another seed lays the strokes elsewhere; the same seed paints the same picture again.",
        ),
        io.Float.Input(
            "stroke_scale",
            default=1.0,
            min=0.25,
            max=4.0,
            step=0.05,
            optional=True,
            tooltip="Size of strokes and lines; 1 suits the size of the picture.",
        ),
        io.Float.Input(
            "palette_strength",
            default=1.0,
            min=0.0,
            max=2.0,
            step=0.05,
            optional=True,
            tooltip="How far colours move to the style's own, or to those of style_image: 0 keeps the picture's colours.",
        ),
        io.Image.Input(
            "style_image",
            optional=True,
            tooltip="Takes the colours, and how coarse the strokes are, from this picture in place of the style's own.",
        ),
        io.Mask.Input(
            "mask",
            optional=True,
            tooltip="Where to paint: 1 paints, 0 leaves the picture untouched. Scaled to the size of the picture. "
            "The MASK of Load Image is all 0 for a picture without transparency: it paints nothing.",
        ),
    ]


def _preview_side() -> int | None:
    """The longest side in pixels of the previews that ComfyUI is set to send; None when it sends none.

    Asked for each render: later versions of ComfyUI set the method per prompt.
    """
    method = getattr(comfy.cli_args.args, "preview_method", None)
    if method is None or method == comfy.cli_args.LatentPreviewMethod.NoPreviews:
        return None
    return int(getattr(comfy.cli_args.args, "preview_size", 512))


def _paint(image: Any, style: Style, intensity: float, options: Options) -> Any:
    """One attempt at one tile size, with its own progress bar."""
    from .style.apply import apply_style, count_steps
    from .style.preview import Viewer
    from .style.steps import StepBar
    from .style.watch import Watch

    total = count_steps(image, style, intensity, options)
    comfy_bar, side = comfy.utils.ProgressBar(total), _preview_side()

    def send(done: int, of: int, picture: Image | None) -> None:
        comfy_bar.update_absolute(done, of, None if picture is None else ("JPEG", picture, side))

    bar = StepBar(total, send)
    if side is not None:
        options = dataclasses.replace(options, viewer=Viewer(side, bar.look))
    watch = Watch(tick=bar.tick, check=comfy.model_management.throw_exception_if_processing_interrupted)
    return apply_style(image, style, intensity, options, watch)


def _is_out_of_memory(fault: BaseException) -> bool:
    """Whether a smaller tile may help. Processors and some devices tell it by their words only."""
    import torch

    if isinstance(fault, (torch.cuda.OutOfMemoryError, MemoryError)):
        return True
    words = str(fault).lower()
    return isinstance(fault, RuntimeError) and ("out of memory" in words or "can't allocate memory" in words)
