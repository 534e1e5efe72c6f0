"""Which job and which node it is that asks, from inside a node; and the way to that job, where Expeditor runs."""

from __future__ import annotations

from typing import Any

from comfy_execution.utils import get_executing_context
from server import PromptServer

from ..runtime.services import current


def where_we_run(unique_id: Any = None) -> tuple[str, str, int]:
    """Prompt id, node id, and which of the node's calls it is where it is called for each of a list; the context is core's own word,
    the server's last prompt id the older way."""
    context = get_executing_context()
    if context is not None:
        return context.prompt_id, context.node_id, context.list_index or 0
    return str(getattr(PromptServer.instance, "last_prompt_id", "")), str(unique_id), 0


def own_job() -> Any:
    """The live ``dispatch.own_job.OwnJob``; None where Expeditor did not start: its nodes are there all the same."""
    try:
        return current().machine.own_job
    except RuntimeError:
        return None
