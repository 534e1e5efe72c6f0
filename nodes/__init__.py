"""What a workflow author drops on the canvas.

Owns the list of node classes. Node files are thin V3 schemas; tensor work lives in plain functions
beside them (`style/`). Importing this module imports neither ComfyUI nor torch.
"""

from __future__ import annotations

from typing import Any


def node_classes() -> list[type[Any]]:
    """Every node of the pack, in the order of the documentation. Needs ComfyUI."""
    from .approve_image import ApproveImage
    from .job_info import JobInfo
    from .pick_images import PickImages
    from .set_job_metadata import SetJobMetadata
    from .style_transfer import StyleTransferNode
    from .wait_for_message import WaitForMessage

    return [StyleTransferNode, WaitForMessage, ApproveImage, PickImages, JobInfo, SetJobMetadata]


def extension() -> Any:
    """A new V3 `ComfyExtension` with `node_classes`, for the pack's `comfy_entrypoint`."""
    from comfy_api.latest import ComfyExtension

    class ExpeditorNodes(ComfyExtension):
        """Hands the node list to ComfyUI's loader."""

        async def get_node_list(self) -> list[type[Any]]:
            """The node classes."""
            return node_classes()

    return ExpeditorNodes()
