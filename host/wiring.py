"""What our queue class needs beside core's own attributes: one object on the swapped instance."""

from __future__ import annotations

import threading
from collections.abc import Callable

from .native import NativeItem
from .ports import Depth, Dispatch, Line


class QueueWiring:
    """The collaborators and the state of the swapped queue; guarded by the queue's mutex."""

    def __init__(self, *, line: Line, depth: Depth, dispatch: Dispatch, clock: Callable[[], float]) -> None:
        """Claims are closed until ``open``: the store is opened after ComfyUI's worker thread has started."""
        self.line = line
        self.depth = depth
        self.dispatch = dispatch
        self.clock = clock
        self.open = False
        self.stood_down = False
        self.store_away = False
        self.uncommitted: list[NativeItem] = []
        self.deleted: set[str] = set()
        self.worker: threading.Thread | None = None
