"""The node that paints a picture in a style: schema, device, progress and interruption.

Owns what ComfyUI has to be asked or told. The painting itself is `style.apply`.
"""

from __future__ import annotations

from typing import Any

import comfy.model_management
import comfy.utils
from comfy_api.latest import io

from .schema import schema

NODE_ID = "StyleTransferNode"
# A stroke layer is painted faster in tiles that fit the processor's cache; a GPU wants few and large ones.
CPU_TILE = 256
GPU_TILE = 2048
SMALLEST_TILE = 128
# Peak of a render on a GPU, in bytes per pixel of one picture; asked of ComfyUI before the work starts.
GPU_BYTES_PER_PIXEL = 300


class StyleTransferNode(io.ComfyNode):
    """Needs no model files."""

    @classmethod
    def define_schema(cls) -> Any:
        """One picture batch in, one of the same shape out."""
        return schema(
            node_id=NODE_ID,
            display_name="Style transfer",
            category="Expeditor/Style",
            description="Paints pictures in a style, with brush or pencil. Needs no model files.",
            inputs=_inputs(),
            outputs=[io.Image.Output("IMAGE", tooltip="The painted pictures, of the same size.")],
            search_aliases=["painting", "van gogh", "pencil", "sketch", "artistic"],
        )

    @classmethod
    def execute(cls, image: Any, style: str, intensity: float, seed: int = 0, stroke_scale: float = 1.0) -> Any:
        """Paint on ComfyUI's device; the result lies on its intermediate device."""
        import torch

        from .style.apply import with_smaller_tiles

        device = comfy.model_management.get_torch_device()
        on_cpu = device.type == "cpu"
        if not on_cpu:
            need = image.shape[1] * image.shape[2] * GPU_BYTES_PER_PIXEL
            comfy.model_management.free_memory(need, device)

        def render(tile: int) -> Any:
            return _paint(image, style, intensity, seed=seed, stroke_scale=stroke_scale, tile=tile, device=device)

        first_tile = CPU_TILE if on_cpu else GPU_TILE
        painted = with_smaller_tiles(render, first_tile, SMALLEST_TILE, torch.cuda.OutOfMemoryError)
        return io.NodeOutput(painted)


def _inputs() -> list[Any]:
    from .style.presets import PRESETS

    return [
        io.Image.Input("image", tooltip="Pictures to paint; each of a batch is painted by itself."),
        io.Combo.Input(
            "style",
            options=[preset.name for preset in PRESETS],
            default=PRESETS[0].name,
            tooltip="vangogh: thick turning brush strokes in blue and yellow. sketch: graphite on paper.",
        ),
        io.Float.Input(
            "intensity",
            default=0.7,
            min=0.0,
            max=1.0,
            step=0.01,
            tooltip="0 returns the picture untouched, 1 the style alone, between a blend of the two.",
        ),
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
    ]


def _paint(image: Any, style: str, intensity: float, *, seed: int, stroke_scale: float, tile: int, device: Any) -> Any:
    """One attempt at one tile size, with its own progress bar."""
    from .style.apply import Options, apply_style, count_steps
    from .style.watch import Watch

    bar = comfy.utils.ProgressBar(count_steps(image, style, intensity, tile))
    watch = Watch(tick=lambda: bar.update(1), check=comfy.model_management.throw_exception_if_processing_interrupted)
    output_device = comfy.model_management.intermediate_device()
    options = Options(seed=seed, stroke_scale=stroke_scale, tile=tile, device=device, output_device=output_device)
    return apply_style(image, style, intensity, options, watch)
