"""Model files as styles: which folders they come from, and where a net lies in memory while it is used.

Owns what ComfyUI has to be asked for that. What is in a file is `style.nets`' business.
"""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path
from typing import Any

import comfy.model_management
import comfy.model_patcher
import folder_paths

FOLDER = "style_transfer"
# Kept in memory when they are not used, beside the one that is: a workflow that goes to and fro reads each file once.
NETS_KEPT = 2
# Peak of a pass on a GPU, in bytes per pixel of the part that is worked on; asked of ComfyUI before the net is loaded.
GPU_BYTES_PER_PIXEL = 2000


def register_folder() -> None:
    """`models/style_transfer`, behind what `extra_model_paths.yaml` names; again does nothing."""
    folder_paths.add_model_folder_path(FOLDER, os.path.join(folder_paths.models_dir, FOLDER))  # noqa: PTH118 - its own spelling


def file_names() -> list[str]:
    """The model files that there are now."""
    from .style.nets.files import style_files

    register_folder()
    return list(style_files(folder_paths.get_folder_paths(FOLDER)))


def find_style(name: str) -> Any:
    """The `Preset` of that name, one of ours or a model file, whose net then lies where ComfyUI computes.

    ValueError if there is none, or (`BadModelFile`) if the file cannot be used.
    """
    from .style.nets.files import find_file, stamp
    from .style.nets.reading import EXTENSIONS
    from .style.nets.rendering import WHOLE_SIDE, net_preset
    from .style.presets import find_preset

    if not name.lower().endswith(EXTENSIONS):
        return find_preset(name)
    register_folder()
    path = find_file(name, folder_paths.get_folder_paths(FOLDER))
    patcher = _patcher(path, stamp(path))
    needed = WHOLE_SIDE * WHOLE_SIDE * GPU_BYTES_PER_PIXEL
    comfy.model_management.load_models_gpu([patcher], memory_required=needed, force_full_load=True)
    return net_preset(name, patcher.model)


@lru_cache(maxsize=NETS_KEPT)
def _patcher(path: Path, _stamp: tuple[tuple[str, int, int], ...]) -> Any:
    """The net of a file as ComfyUI moves it about; a file that was changed is read again."""
    from .style.nets.files import load_net

    return comfy.model_patcher.ModelPatcher(
        load_net(path),
        load_device=comfy.model_management.get_torch_device(),
        offload_device=comfy.model_management.unet_offload_device(),
    )
