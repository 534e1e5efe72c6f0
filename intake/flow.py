"""Whether work comes in and goes out now: draining and paused, this instance's role, and whether it may be a member at all.

Owns the draining state, which lives in memory and ends with the process, what was wished of this instance, and what this process knows of
the queue's pause, which the store keeps. Who lets in asks ``check``; who claims asks ``claims``. Safe from any thread, no I/O.
"""

from __future__ import annotations

from ..jobs.errors import Draining, Forbidden, StoreUnavailable
from ..jobs.instances import InstanceState

RETRY_AFTER_S = 30
"""What a refused client is told: about what a restart takes. When the running job ends, nobody knows."""


class Flow:
    """One server's. Neither draining nor paused at first; ``restore`` is told what the store has kept."""

    def __init__(self, *, accepts: bool = True, works: bool = True) -> None:
        """Open. ``accepts``: has the role ``api``; ``works``: has the role ``worker``."""
        self._accepts = accepts
        self._works = works
        self._draining = False
        self._paused = False
        self._wished = InstanceState.ACTIVE
        self._barred: str | None = None

    @property
    def state(self) -> InstanceState:
        """What this instance does now, for the others; the queue's own pause apart."""
        return InstanceState.DRAINING if self.draining else self._wished

    @property
    def claims(self) -> bool:
        """Whether this instance takes jobs out of the queue."""
        return self._works and self._barred is None and self.state is InstanceState.ACTIVE

    @property
    def draining(self) -> bool:
        """Whether new work is refused and nothing is claimed until the process ends or ``resume``."""
        return self._draining or self._wished is InstanceState.DRAINING

    @property
    def paused(self) -> bool:
        """Whether the store gives nothing out. Known from the last change that was committed."""
        return self._paused

    def drain(self) -> None:
        """Refuse what is new and claim nothing from now on; what runs goes on."""
        self._draining = True

    def resume(self) -> None:
        """Drain no more, and be active again whatever was wished."""
        self._draining = False
        self._wished = InstanceState.ACTIVE

    def wish(self, state: InstanceState) -> None:
        """What somebody wants of this instance: ``ACTIVE``, ``PAUSED`` or ``DRAINING``."""
        if state is InstanceState.ACTIVE:
            self.resume()
        self._wished = state

    def bar(self, reason: str | None) -> None:
        """Neither accept nor claim for ``reason``; None: do so again."""
        self._barred = reason

    def restore(self, paused: bool) -> None:
        """What the store holds now: committed."""
        self._paused = paused

    def check(self) -> None:
        """Raises ``Draining``; ``Forbidden`` where nothing is accepted at all, ``StoreUnavailable`` while it is barred."""
        if not self._accepts:
            raise Forbidden(
                "This instance accepts no jobs (setting roles); submit to one that has the role api: GET /expeditor/workers lists them."
            )
        if self._barred is not None:
            raise StoreUnavailable(self._barred, retry_after_s=RETRY_AFTER_S)
        if self.draining:
            raise Draining(
                "The server is draining: it finishes what runs and takes no new jobs until it is restarted or resumed.",
                retry_after_s=RETRY_AFTER_S,
            )

    def not_ready(self) -> str | None:
        """Why the server should get no work now, or None. A paused queue takes jobs and keeps them: that is no reason."""
        return self._barred or ("draining: no new jobs are taken" if self.draining else None)
