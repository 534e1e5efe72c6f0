"""Who owns ComfyUI's queue. Reads, and swaps the class when nobody else has been there.

ComfyUI's modules, and our queue class that is built on one of them, are imported when a function is called: this module can
be read where there is no ComfyUI.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from .wiring import QueueWiring

if TYPE_CHECKING:
    from .queue import ExpeditorQueue

PATCHABLE = frozenset({"put", "get", "task_done", "delete_queue_item", "wipe_queue", "get_current_queue"})
NEEDED = ("mutex", "not_empty", "queue", "currently_running", "history", "task_counter", "server")


def foreign_owner(queue: Any) -> str | None:
    """None when the queue is core's or ours and unpatched; else a sentence that says who changed what."""
    import execution

    from .queue import ExpeditorQueue

    own: dict[str, Any] = queue.__dict__
    owner = f"{type(queue).__module__}.{type(queue).__qualname__}"
    core: Any = execution.PromptQueue
    if not any(type(queue) is known for known in (core, ExpeditorQueue)):
        return f"another pack owns the queue ({owner})"
    patched = sorted(PATCHABLE & set(own))
    if patched:
        modules = sorted({str(getattr(own[name], "__module__", "unknown")) for name in patched})
        return f"another pack ({', '.join(modules)}) replaced {', '.join(patched)} of the queue"
    if type(queue) is core:
        changed = sorted(name for name in PATCHABLE if getattr(core, name).__module__ != "execution")
        if changed:
            return f"another pack replaced {', '.join(changed)} of ComfyUI's queue class"
    missing = [name for name in NEEDED if not hasattr(queue, name)]
    return f"ComfyUI's queue has no {', '.join(missing)}" if missing else None


def swap_queue(queue: Any, wiring: QueueWiring) -> ExpeditorQueue:
    """Make ``queue`` ours by swapping its class, so that packs that already hold the object keep a working one."""
    import execution

    from .queue import ExpeditorQueue
    from .run_ends import RunEnds

    queue.__class__ = ExpeditorQueue
    queue.expeditor = wiring
    queue.run_ends = RunEnds(queue, partial(execution.PromptQueue.task_done, queue))
    with queue.mutex:
        queue.queue = list(queue.queue)
    return queue


def our_queue(server: Any) -> ExpeditorQueue | None:
    """The server's queue if it is ours, also after it stood down; else None."""
    from .queue import ExpeditorQueue

    queue = server.prompt_queue
    return queue if isinstance(queue, ExpeditorQueue) else None


def history_bound() -> int:
    """How many entries ComfyUI's history may have."""
    import execution

    return int(execution.MAXIMUM_HISTORY_SIZE)


def core_executor() -> Any:
    """ComfyUI's ``PromptExecutor`` class."""
    import execution

    return execution.PromptExecutor
