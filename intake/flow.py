"""Whether work comes in and goes out now: draining and paused.

Owns the draining state, which lives in memory and ends with the process, and what this process knows of the pause, which the
store keeps. Who lets in asks ``check``; who claims asks ``draining``. Safe from any thread, no I/O.
"""

from __future__ import annotations

from ..jobs.errors import Draining

RETRY_AFTER_S = 30
"""What a refused client is told: about what a restart takes. When the running job ends, nobody knows."""


class Flow:
    """One server's. Neither draining nor paused at first; ``restore`` is told what the store has kept."""

    def __init__(self) -> None:
        """Open."""
        self._draining = False
        self._paused = False

    @property
    def draining(self) -> bool:
        """Whether new work is refused and nothing is claimed until the process ends or ``resume``."""
        return self._draining

    @property
    def paused(self) -> bool:
        """Whether the store gives nothing out. Known from the last change that was committed."""
        return self._paused

    def drain(self) -> None:
        """Refuse what is new and claim nothing from now on; what runs goes on."""
        self._draining = True

    def resume(self) -> None:
        """Drain no more."""
        self._draining = False

    def restore(self, paused: bool) -> None:
        """What the store holds now: committed."""
        self._paused = paused

    def check(self) -> None:
        """Raises ``Draining``."""
        if self._draining:
            raise Draining(
                "The server is draining: it finishes what runs and takes no new jobs until it is restarted or resumed.",
                retry_after_s=RETRY_AFTER_S,
            )

    def not_ready(self) -> str | None:
        """Why the server should get no work now, or None. A paused queue takes jobs and keeps them: that is no reason."""
        return "draining: no new jobs are taken" if self._draining else None
