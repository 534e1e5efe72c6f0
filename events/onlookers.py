"""Progress and previews of running jobs between instances: for those who look at a job on another instance than the one that runs it.

Owns who looks from where: an instance that somebody asks for a job tells the one that runs it, which then says how it goes on, the latest
only and a few times a second, until nobody has asked for a while. Keeps the latest snapshot of each job that runs elsewhere until its
run is over, and nothing that anybody could miss. Any thread.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from typing import Any, cast

from ..jobs.belonging import is_home, runner_of, runs_elsewhere
from ..jobs.events import JobEvent
from ..jobs.model import JobStatus, JsonObject, Progress
from .hub import Hub
from .ports import Progressing, Relayed
from .words import object_of

LOOK, PROGRESS, PREVIEW = "look", "look.progress", "look.preview"
APART_S = 0.5
"""The least time between two of one kind and job."""
LOOKED_S = 15.0
"""How long somebody who has asked is told."""
ASK_AGAIN_S = 5.0
AWAY_MAX = 10_000
LOOKED_AT_MAX = 1_000
"""Of how many jobs it is remembered who looks at them, those included that do not run here."""
_ON_MACHINE = frozenset({JobStatus.RUNNING, JobStatus.WAITING, JobStatus.CANCELING})
_FIELDS = tuple(field.name for field in fields(Progress))

Facts = Callable[[], "JsonObject | None"]


@dataclass(slots=True)
class _Away:
    """A job that runs elsewhere. ``asked_s``: when its runner was told last that somebody looks here."""

    runner: str
    started_at_s: float
    estimated_s: float
    ours: bool
    asked_s: float = float("-inf")
    progress: Progress | None = None


class Onlookers:
    """Fits ``host.ports.Glimpses`` (what runs here goes on), ``jobs.events.Publisher`` and ``Progressing`` (what runs elsewhere)."""

    def __init__(self, hub: Hub, runs: Progressing, relay: Relayed, here: str, monotonic: Callable[[], float]) -> None:
        """``runs``: those of this machine; ``here``: this instance's name."""
        self._hub = hub
        self._runs = runs
        self._relay = relay
        self._here = here
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._lookers: dict[str, dict[str, float]] = {}
        self._told_s: dict[tuple[str, str], float] = {}
        self._away: dict[str, _Away] = {}
        self._went_on: Callable[[str], None] = lambda _: None
        self._shown: Callable[[str, Facts], None] = _nobody
        relay.listen(LOOK, self._hear_look)
        relay.listen(PROGRESS, self._hear_progress)
        relay.listen(PREVIEW, self._hear_preview)

    def join(self, went_on: Callable[[str], None], shown: Callable[[str, Facts], None]) -> None:
        """From now on those who listen here are told (``glimpses``)."""
        self._went_on, self._shown = went_on, shown

    # -- of runs here ------------------------------------------------------------------------------------------------

    def progressed(self, job_id: str) -> None:
        """A run here went on."""
        for looker in self._turn(PROGRESS, job_id):
            self._tell_progress(looker, job_id)

    def previewed(self, job_id: str, facts: Facts) -> None:
        """A run here shows a picture."""
        lookers = self._turn(PREVIEW, job_id)
        made = facts() if lookers else None
        if made is not None:
            for looker in lookers:
                self._relay.send(looker, PREVIEW, json.dumps({"job_id": job_id, "facts": made}).encode())

    def _tell_progress(self, looker: str, job_id: str) -> None:
        progress = self._runs.progress(job_id)
        if progress is not None:
            self._relay.send(looker, PROGRESS, json.dumps({"job_id": job_id, "progress": asdict(progress)}).encode())

    def _turn(self, kind: str, job_id: str) -> tuple[str, ...]:
        """Who is to be told now; nobody looks, mostly."""
        if job_id not in self._lookers:
            return ()
        now_s = self._monotonic()
        with self._lock:
            looking = {name: at_s for name, at_s in self._lookers.get(job_id, {}).items() if at_s > now_s - LOOKED_S}
            if not looking:
                self._lookers.pop(job_id, None)
                self._told_s = {key: at_s for key, at_s in self._told_s.items() if key[1] != job_id}
                return ()
            self._lookers[job_id] = looking
            if now_s < self._told_s.get((kind, job_id), float("-inf")) + APART_S:
                return ()
            self._told_s[kind, job_id] = now_s
        return tuple(looking)

    def _hear_look(self, sender: str, _kind: str, body: bytes) -> None:
        job_id = body.decode("utf-8", "replace")
        # Others may hear of a start before the run has begun here: who looks then is told as soon as it goes on.
        with self._lock:
            self._lookers.setdefault(job_id, {})[sender] = self._monotonic()
            while len(self._lookers) > LOOKED_AT_MAX:
                gone = next(iter(self._lookers))
                del self._lookers[gone]
                self._told_s = {key: at_s for key, at_s in self._told_s.items() if key[1] != gone}
        self._tell_progress(sender, job_id)

    # -- of runs elsewhere -------------------------------------------------------------------------------------------

    def publish(self, events: tuple[JobEvent, ...]) -> None:
        """See ``Publisher``: what others committed, and what was committed here."""
        for event in events:
            job = event.job
            runner = runner_of(job)
            if job.status not in _ON_MACHINE or runner is None or not runs_elsewhere(job, self._here):
                self._away.pop(job.id, None)
                continue
            known = self._away.get(job.id)
            if known is None or known.runner != runner:
                while len(self._away) >= AWAY_MAX:
                    self._away.pop(next(iter(self._away)), None)
                ours = is_home(job, self._here)
                self._away[job.id] = _Away(runner, job.attempts[-1].started_at_s, job.estimated_s, ours)
        self.refresh(only={event.job.id for event in events})

    def refresh(self, only: set[str] | None = None) -> None:
        """Every few seconds: say again whose runs are looked at from here: what listens, and this instance's own jobs."""
        for job_id, away in tuple(self._away.items()):
            if (only is None or job_id in only) and (away.ours or self._hub.wants(job_id)):
                self._ask(job_id, away)

    def progress(self, job_id: str) -> Progress | None:
        """The latest snapshot of a job that runs elsewhere; None when it does not, and for a moment when nobody has asked before."""
        away = self._away.get(job_id)
        if away is None:
            return None
        self._ask(job_id, away)
        return away.progress

    def started_at_s(self, job_id: str) -> float | None:
        """When the attempt began of a job that runs elsewhere."""
        away = self._away.get(job_id)
        return None if away is None else away.started_at_s

    def worked_off_s(self, now_s: float) -> float:
        """How much of the estimated work of the jobs that run elsewhere is done already at ``now_s``, by the queue's clock."""
        return sum(min(max(now_s - away.started_at_s, 0.0), away.estimated_s) for away in tuple(self._away.values()))

    def _ask(self, job_id: str, away: _Away) -> None:
        now_s = self._monotonic()
        if now_s >= away.asked_s + ASK_AGAIN_S:
            away.asked_s = now_s
            self._relay.send(away.runner, LOOK, job_id.encode())

    def _hear_progress(self, sender: str, _kind: str, body: bytes) -> None:
        said = object_of(body)
        away = self._away.get(str(said.get("job_id")))
        progress = _progress_of(said.get("progress"))
        if away is not None and away.runner == sender and progress is not None:
            away.progress = progress
            self._went_on(str(said["job_id"]))

    def _hear_preview(self, sender: str, _kind: str, body: bytes) -> None:
        said = object_of(body)
        away, facts = self._away.get(str(said.get("job_id"))), said.get("facts")
        if away is not None and away.runner == sender and isinstance(facts, dict):
            self._shown(str(said["job_id"]), lambda: cast("JsonObject", facts))


def _nobody(_job_id: str, _facts: Facts) -> None:
    return


def _progress_of(value: Any) -> Progress | None:
    try:
        return Progress(**{name: value[name] for name in _FIELDS})
    except (KeyError, TypeError):
        return None
