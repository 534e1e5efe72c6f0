"""What ComfyUI's own routes read of our queue, and stop in it: what runs, what waits, and the history.

Owns that jobs which were submitted here and run on another instance are shown as running, and that what is forgotten of the history
here is that of jobs shown here. Does not own how the lists come to be (``queue``, ``listing``, ``elsewhere``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import execution
import nodes

from .context import remember_commit
from .native import NativeItem, item_id

if TYPE_CHECKING:
    from ..jobs.model import JsonObject
    from .wiring import QueueWiring


class ShownQueue(execution.PromptQueue):
    """The half of ``queue.ExpeditorQueue`` that is read, with what runs now and the history."""

    expeditor: QueueWiring

    def get_current_queue(self) -> tuple[list[NativeItem], list[NativeItem]]:
        """What runs, here or elsewhere, and a copy of what waits."""
        with self.mutex:
            running, waiting = super().get_current_queue()
            return [*running, *self._running_elsewhere()], waiting

    def get_current_queue_volatile(self) -> tuple[list[NativeItem], list[NativeItem]]:
        """As ``get_current_queue``, without copies of the items."""
        with self.mutex:
            running, waiting = super().get_current_queue_volatile()
            return [*running, *self._running_elsewhere()], waiting

    def get_tasks_remaining(self) -> int:
        """How many wait or run."""
        with self.mutex:
            return super().get_tasks_remaining() + len(self._running_elsewhere())

    def wipe_history(self) -> None:
        """Forget all history, also what the store keeps of it for after a restart; on a shared queue, what is shown here."""
        with self.mutex:
            shown = tuple(self.history)
            super().wipe_history()
        if not self.expeditor.stood_down:
            forgotten = self.expeditor.line.forget_history(None if self.expeditor.origin is None else shown)
            remember_commit(forgotten)

    def delete_history_item(self, id_to_delete: str) -> None:
        """Forget one entry, also in the store."""
        with self.mutex:
            ours = self.expeditor.origin is None or id_to_delete in self.history
            super().delete_history_item(id_to_delete)
        if ours and not self.expeditor.stood_down:
            remember_commit(self.expeditor.line.forget_history((id_to_delete,)))

    def restore_history(self, entries: dict[str, JsonObject]) -> None:
        """Show what ended before this start, oldest first and before all that ended since."""
        with self.mutex:
            self.history = {**entries, **{key: kept for key, kept in self.history.items() if key not in entries}}

    def write_history(self, job_id: str, entry: JsonObject) -> None:
        """Add an entry for a job that no run of core's ended here, within core's bound; nobody is told."""
        with self.mutex:
            if len(self.history) > execution.MAXIMUM_HISTORY_SIZE:
                self.history.pop(next(iter(self.history)))
            self.history[job_id] = entry

    def running_item(self, job_id: str) -> NativeItem | None:
        """The untouched item of a job that our queue runs now."""
        with self.mutex:
            running = (item for item in self.currently_running.values() if item_id(item) == job_id)
            return None if self.expeditor.stood_down else next(running, None)

    def interrupt(self, job_id: str) -> bool:
        """Interrupt the job if it is the one that runs; says whether it was."""
        with self.mutex:
            if all(item_id(item) != job_id for item in self.currently_running.values()):
                return False
            nodes.interrupt_processing()
            return True

    def interrupt_if_running(self, prompt_id: Any) -> bool:
        """As newer ComfyUIs have it: interrupt this job if it runs, here or on another instance, or is parked; says whether it did."""
        job_id = str(prompt_id)
        return self.interrupt(job_id) or self.cancel_elsewhere(job_id)

    def cancel_elsewhere(self, job_id: str) -> bool:
        """Cancel the job if it runs on another instance, which hears of it when that is committed, or is parked; says whether it is."""
        with self.mutex:
            begun = job_id in self.expeditor.elsewhere or job_id in self.expeditor.parked
            away = begun and not self.expeditor.stood_down
        if away:
            remember_commit(self.expeditor.line.cancel(job_id))
        return away

    def _running_elsewhere(self) -> list[NativeItem]:
        away = self.expeditor.elsewhere
        if not away:
            return []
        here: Any = {item_id(item) for item in self.currently_running.values()}
        return [item for job_id, item in away.items() if job_id not in here]
