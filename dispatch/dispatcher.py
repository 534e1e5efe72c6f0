"""From the line to the machine: claim, settle what was claimed, and try again what failed.

Runs on ComfyUI's worker thread. Owns when a claim is tried and what becomes of a run: its end, another attempt at once
(``again_now``) or its return into the queue. Does not own the order (``store``), how a run is judged (``verdict``), what
follows a failure (``retrying``), nor that nothing is lost while the store is away (``debts``).
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass, replace
from typing import Any, cast

from ..jobs.belonging import is_home
from ..jobs.causes import CauseTable
from ..jobs.errors import ExpeditorError, StoreUnavailable
from ..jobs.model import Cause, Claim, Ending, Job, JobError, JobStatus
from ..jobs.settled import Settled
from ..jobs.transitions import is_terminal
from ..store.base import JobStore, Recovered, RecoveryRule
from .debts import Debt, Debts
from .fitting import IN_A_ROW, Fitting
from .ports import Abilities, AtHome, Homeward, NoneResident, NoParking, OutputFiles, Parking, Resident, RunObserver
from .retrying import AgainLater, AgainNow, Decision, Last, RetryPolicy, decide
from .runs import RunTable
from .stall import RunSigns
from .verdict import RunFacts, RunReport, judge, stall_error

log = logging.getLogger("expeditor.dispatch")
Clock = Callable[[], float]
Messages = Sequence[tuple[str, Mapping[str, Any]]]
HOME_PATIENCE_S = 0.5
"""How long the machine stands still for results to come home; what takes longer goes on while the next job runs."""
PUT_OFF_S = 20.0
"""For how long a job is put off at the first time; twice as long at the second."""
ON_THE_WAY_MAX = 4
"""While the results of so many runs are on their way, nothing new is claimed."""
_SECRET_LOST = "The job needs a partner key that was sent with it; keys are never stored and the server restarted. Submit it again."


@dataclass(frozen=True, slots=True)
class RetryRules:
    """How failures are told apart and what follows them; ``rng`` gives evenly spread numbers from 0 to 1."""

    causes: CauseTable
    policy: RetryPolicy
    rng: Callable[[], float]


@dataclass(slots=True)
class _OnMachine:
    """A job that runs here. ``rerun``: another attempt was asked for, and the store's answer is still out."""

    job: Job
    classes: Mapping[str, str]
    rerun: Future[Job] | None = None


class Dispatcher:
    """One machine's dispatcher. All is called by one thread at a time, ComfyUI's worker; ``recover`` before it starts,
    ``abandon`` when the worker is stuck or dead."""

    def __init__(  # noqa: PLR0913 - each by its name
        self,
        *,
        store: JobStore,
        runs: RunTable,
        files: OutputFiles,
        observer: RunObserver,
        retries: RetryRules,
        clock: Clock,
        monotonic: Clock,
        deadline_s: float,
        draining: Callable[[], bool],
        resident: Resident | None = None,
        abilities: Abilities | None = None,
        home_patience_s: float = HOME_PATIENCE_S,
    ) -> None:
        """While ``draining`` nothing new is claimed. ``deadline_s`` bounds every wait for the store; ``clock`` tells times,
        ``monotonic`` measures gaps. ``abilities``: what this machine can run, where others may run what it cannot.
        """
        self._store = store
        self._runs = runs
        self._files = files
        self._observer = observer
        self._retries = retries
        self._clock = clock
        self._monotonic = monotonic
        self._home_patience_s = home_patience_s
        self._resident = resident or NoneResident()
        self._homeward: Homeward = AtHome()
        self._parking: Parking = NoParking()
        self._debts = Debts(store, deadline_s)
        self._fitting = Fitting(store, abilities)
        self._on_machine: dict[str, _OnMachine] = {}
        self._draining = draining
        self._freed: tuple[float, float] | None = None  # when the last run ended: by the clock, and monotonic
        self._asked: Future[Claim | None] | None = None

    def join(self, homeward: Homeward) -> None:
        """Results go home by this; called once, before the first claim."""
        self._homeward = homeward

    def join_parking(self, parking: Parking) -> None:
        """Runs that wait for people are parked by this; called once, before the first claim."""
        self._parking = parking

    def recover(self, rule: RecoveryRule = RecoveryRule(), here: str | None = None) -> Recovered:  # noqa: B008 - a frozen value
        """What waits from before this start; called once, before the first claim. Raises ``StoreUnavailable``. ``here``: this instance's
        name where several share the store: keys of the others' jobs are theirs."""
        recovered = self._debts.wait(self._store.recover(replace(rule, here=here)))
        kept: list[Any] = []
        for job, payload in recovered.waiting:
            if job.needs_secret and is_home(job, here):
                self.give_up(job.id, Cause.SECRET_LOST, _SECRET_LOST)
            else:
                kept.append((job, payload))
        return replace(recovered, waiting=tuple(kept))

    def owes(self) -> bool:
        """Whether something asked of the store is still open: ``claim`` has work to do even if nothing waits."""
        return bool(self._debts) or bool(self._fitting) or self._asked is not None

    def claim(self, *, fresh: bool = True) -> Claim | None:
        """The next job to run, or None when nothing waits. Raises ``StoreUnavailable`` while the store is away, else nothing.

        Unless ``fresh`` only what is open with the store is settled: nothing new is asked for.
        """
        try:
            self._debts.pay()
            found = self._next(fresh)
        except StoreUnavailable:
            raise
        except ExpeditorError as error:
            # Whatever else the store can fail with: the worker thread must live and ask again later.
            raise StoreUnavailable(error.message) from error
        if found is None:
            return None
        claim, classes = found
        self._tell_gap(claim)
        self._begin(claim.job, classes, self._parking.began(claim.job))
        return claim

    def again_now(self, job_id: str, succeeded: bool, messages: Messages, outputs: Mapping[str, Any]) -> bool:
        """Whether the run that has just failed runs again at once: then its next attempt is committed. Never raises.

        False leaves the run to ``finish``, which is then called with the same facts. A store that answers too late gives
        False too: ``finish`` puts the job back, and should the attempt have been opened, it is closed as one that counts for
        nothing.
        """
        here = self._on_machine.get(job_id)
        if here is None or here.rerun is not None:
            return False
        facts = self._runs.look(job_id, self._clock())
        ending = self._judged(job_id, RunReport(succeeded, messages, outputs), facts)
        if not isinstance(self._decide(here.job, ending, facts), AgainNow):
            return False
        here.rerun = self._store.rerun(job_id, here.job.attempt, ending)
        try:
            job = self._debts.wait(here.rerun)
        except ExpeditorError as error:
            extra = {"event": "rerun.refused", "job_id": job_id, "code": error.code}
            log.warning("A job cannot run again at once: %s", error.message, extra=extra)
            return False
        if is_terminal(job.status):
            return False
        ran = self._runs.end(job_id, ending.finished_at_s).ran
        self._parking.began(job)
        self._begin(job, here.classes, ran)
        return True

    def finish(
        self,
        job_id: str,
        succeeded: bool,
        messages: Messages,
        outputs: Mapping[str, Any],
        history_json: str | None = None,
    ) -> Settled:
        """Settle the run of ``job_id``. Never raises: what cannot be committed now is committed before the next claim.

        A job is put back in the same process only, so one that came with a partner key keeps it: the host lists the item
        that it has, key included, again.
        """
        facts = self._runs.end(job_id, self._clock())
        ending = self._sized(job_id, self._judged(job_id, RunReport(succeeded, messages, outputs), facts))
        stopped = ending.cause is Cause.INTERRUPTED and not facts.cancel_wanted
        return self._settle(job_id, replace(ending, history_json=history_json), facts, parkable=stopped)

    def refuse(self, job_id: str, error: JobError) -> Settled:
        """Settle a claimed job that could not be started as failed; ``error.code`` names the cause. Never raises.

        Never tried again.
        """
        facts = self._runs.end(job_id, self._clock())
        ending = Ending(JobStatus.FAILED, facts.finished_at_s, 0.0, cause=Cause(error.code), error=error)
        return self._settle(job_id, ending)

    def put_off(self, job_id: str, error: JobError) -> Settled:
        """Settle a claimed job that could not be started for now: it is tried again as its cause allows, later than after a failed run,
        since it waits for another machine. ``error.code`` names the cause. Never raises."""
        facts = self._runs.end(job_id, self._clock())
        ending = Ending(JobStatus.FAILED, facts.finished_at_s, 0.0, cause=Cause(error.code), error=error)
        return self._settle(job_id, ending, facts, at_least_s=PUT_OFF_S)

    def withdraw(self, job_id: str) -> Settled:
        """Settle a claimed job that was cancelled before it began. Never raises."""
        facts = self._runs.end(job_id, self._clock())
        return self._settle(job_id, Ending(JobStatus.CANCELED, facts.finished_at_s, 0.0, cause=Cause.CANCELED))

    def abandon(self, run: RunSigns) -> bool:
        """See ``watchdog.Abandoning``: for a process that is about to end itself. Called by the watchdog's thread."""
        if run.job_id in self._on_machine:
            facts = self._runs.end(run.job_id, self._clock())
            error = stall_error(run.node_id, run.class_type)
            ending = Ending(
                JobStatus.FAILED, facts.finished_at_s, facts.run_s, Cause.STALLED, error, last_node_id=run.node_id
            )
            self._settle(run.job_id, ending, facts)
            return not self._debts
        try:
            self._debts.pay()
        except StoreUnavailable:
            return False
        return True

    def settled(self) -> list[str]:
        """The jobs that ended since this was asked last without ``finish`` and its like having said ``ENDED``."""
        return self._debts.ended()

    def lost(self) -> list[str]:
        """The jobs whose owed end was refused since this was asked last: they are another instance's by now."""
        lost = self._debts.lost()
        for job_id in lost:
            self._parking.refused(job_id)
        return lost

    def settle_arrived(self) -> None:
        """Commit the ends whose results have come home by now. Any thread; blocks; never raises: what cannot be committed stays owed."""
        try:
            self._debts.pay()
        except ExpeditorError as error:
            log.warning("The end of a run could not be stored yet: %s", error, extra={"event": "store.unavailable"})

    def give_up(self, job_id: str, cause: Cause, message: str) -> None:
        """Fail a waiting job that can never run. Never raises; waits for the commit."""
        error = JobError(code=cause.value, message=message)
        ending = Ending(JobStatus.FAILED, self._clock(), 0.0, cause=cause, error=error)
        try:
            self._debts.wait(self._store.fail_queued(job_id, ending))
        except ExpeditorError as refused:
            log.warning("Could not fail a job that cannot run: %s", refused.message, extra={"job_id": job_id})

    def _begin(self, job: Job, classes: Mapping[str, str], ran_before: frozenset[str] = frozenset()) -> None:
        self._on_machine[job.id] = _OnMachine(job, classes)
        self._homeward.began(job)
        self._runs.begin(job.id, classes, job.estimated_s, job.attempt, ran_before)

    def _tell_gap(self, claim: Claim) -> None:
        freed, self._freed = self._freed, None
        if freed is not None and claim.job.queued_at_s <= freed[0]:
            self._observer.gap(self._monotonic() - freed[1])

    def _next(self, fresh: bool) -> tuple[Claim, Mapping[str, str]] | None:
        """A claim that fits, with its node classes by id."""
        for _ in range(IN_A_ROW):
            self._fitting.give_back(self._debts.wait_done)
            claim = self._asked_for(fresh)
            if claim is None:
                return None
            classes = node_classes(claim.payload.prompt_json)
            if self._fitting.fits(claim, frozenset(classes.values())):
                return claim, classes
        self._fitting.give_back(self._debts.wait_done)
        return None

    def _asked_for(self, fresh: bool) -> Claim | None:
        if self._asked is None and (not fresh or self._draining() or self._debts.on_the_way() >= ON_THE_WAY_MAX):
            return None
        asked = self._asked = self._asked or self._store.claim(self._resident.models(), self._fitting.unfit())
        self._debts.wait_done(asked)
        self._asked = None
        return asked.result()

    def _judged(self, job_id: str, report: RunReport, facts: RunFacts) -> Ending:
        try:
            return judge(report, facts, self._retries.causes)
        except Exception as error:  # noqa: BLE001 - nodes hand over objects of their own, which may fail in any way
            return _unreadable(job_id, facts.finished_at_s, facts.run_s, error)

    def _sized(self, job_id: str, ending: Ending) -> Ending:
        size_bytes = self._files.size_bytes
        try:
            sized = (replace(one, size_bytes=size_bytes(one.folder, one.subfolder, one.name)) for one in ending.outputs)
            return replace(ending, outputs=tuple(sized))
        except Exception as error:  # noqa: BLE001 - as above
            return _unreadable(job_id, ending.finished_at_s, ending.run_s, error)

    def _decide(self, job: Job, ending: Ending, facts: RunFacts) -> Decision:
        if facts.cancel_wanted:
            return Last()
        return decide(job, ending, self._retries.policy, self._retries.rng)

    def _settle(
        self,
        job_id: str,
        ending: Ending,
        facts: RunFacts | None = None,
        at_least_s: float = 0.0,
        *,
        parkable: bool = False,
    ) -> Settled:
        """Without ``facts`` the job never ran, and is not tried again."""
        waits = self._parking.stopped(job_id, frozenset() if facts is None else facts.ran, parkable=parkable)
        here = self._on_machine.pop(job_id, None)
        if here is None:
            log.warning("A run ended that was not claimed here", extra={"event": "run.unknown", "job_id": job_id})
            return Settled.ENDED
        decision = Last() if facts is None else self._decide(here.job, ending, facts)
        soonest_s = ending.finished_at_s + at_least_s * here.job.tries
        debt = Debt(
            job_id,
            here.job.attempt,
            ending,
            put_back=bool(waits) or not isinstance(decision, Last),
            park=waits,
            not_before_s=max(decision.not_before_s, soonest_s) if isinstance(decision, AgainLater) else None,
            rerun=here.rerun,
            fenced=here.job.origin is not None,
        )
        self._freed = (self._clock(), self._monotonic())
        self._send_home(here.job, debt)
        self._debts.add(debt)
        try:
            self._debts.pay()
        except StoreUnavailable as error:
            log.warning(
                "The end of a run could not be stored yet; it is stored before the next job starts: %s",
                error.message,
                extra={"event": "store.unavailable", "job_id": job_id, "code": error.code},
            )
        settled = self._debts.leave(debt)
        if settled is Settled.LOST:
            self._parking.refused(job_id)
        return settled or (Settled.AGAIN if debt.put_back else Settled.OWED)

    def _send_home(self, job: Job, debt: Debt) -> None:
        """Have the results of a run's end brought home; waits for those that are there at once, so that most ends are simply told."""
        if debt.put_back:
            self._homeward.forget(job.id)
            return
        home = self._homeward.bring_home(job, debt.ending)
        if home is None:
            return
        debt.home = home
        if not wait([home], self._home_patience_s).done:
            log.info("Results are on their way", extra={"event": "handover.slow", "job_id": job.id})
            home.add_done_callback(lambda _: self._homeward.arrived())


def _unreadable(job_id: str, finished_at_s: float, run_s: float, error: Exception) -> Ending:
    log.warning("What a run left behind cannot be read", exc_info=error, extra={"job_id": job_id})
    text = f"What the run left behind cannot be read ({type(error).__name__})."
    fault = JobError(Cause.NODE_ERROR.value, text)
    return Ending(JobStatus.FAILED, finished_at_s, run_s, cause=Cause.NODE_ERROR, error=fault)


def node_classes(prompt_json: str) -> dict[str, str]:
    """Node ids to class types of a stored prompt; none of one that cannot be read."""
    try:
        prompt = json.loads(prompt_json)
    except (ValueError, RecursionError):
        return {}
    if not isinstance(prompt, dict):
        return {}
    nodes = cast("dict[str, Any]", prompt)
    return {
        node_id: str(cast("dict[str, Any]", node).get("class_type"))
        for node_id, node in nodes.items()
        if isinstance(node, dict)
    }
