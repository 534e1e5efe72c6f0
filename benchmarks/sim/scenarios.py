"""What is simulated, and how it is told: each scenario gives a section of markdown and the aims that it judges.

Owns the aims and the choice of work. Asserts nothing; only the waiting bound is asserted, by `bound.py`, in every run of ours.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median

from benchmarks.sim import figures, workload
from benchmarks.sim.figures import HIGH, completion
from benchmarks.sim.lines import FifoLine, OurLine
from benchmarks.sim.machine import Run, fair_share_s, play
from benchmarks.sim.workload import MEAN_RUN_S, Arrival, Trace
from expeditor.jobs.ordering import OrderPolicy

SOONER, WORST_WAIT, SHARE, LOADS = 0.60, 6.0, 1.2, 1 / 3
LOAD_S = 8.0
EIGHT_HOURS_S = 8 * 3600.0
Cells = Sequence[str]
Known = Mapping[str, float]
NOTHING_KNOWN: Known = {}


@dataclass(frozen=True, slots=True)
class Aim:
    """One aim and what came out; ``met`` is None where the margin holds both answers."""

    what: str
    aim: str
    got: str
    met: bool | None


@dataclass(frozen=True, slots=True)
class Section:
    """One scenario's tables as markdown, and its aims."""

    text: str
    aims: tuple[Aim, ...] = ()


@dataclass(frozen=True, slots=True)
class Sides:
    """The same traces under each order, and each job's time at exactly equal shares."""

    fifo: list[Run]
    ours: list[Run]
    strict: list[Run]
    fair_s: list[dict[int, float]]
    bound_used: float

    @classmethod
    def of(
        cls, traces: Sequence[Trace], load_s: float = 0.0, until: str | None = None, known: Known = NOTHING_KNOWN
    ) -> Sides:
        """Play them all; raises ``BoundBroken``."""
        ours = [OurLine(OrderPolicy(), known_run_s=known) for _ in traces]
        runs = [play(trace, line, load_s, until) for trace, line in zip(traces, ours, strict=True)]
        overtaken = [each for line in ours for each in line.overtaken.values()]
        return cls(
            fifo=[play(trace, FifoLine(), load_s, until) for trace in traces],
            ours=runs,
            strict=[play(trace, OurLine(OrderPolicy(strict=True)), load_s, until) for trace in traces],
            fair_s=[fair_share_s(trace) for trace in traces],
            bound_used=max((each.by_s / each.allowance_s for each in overtaken if each.allowance_s), default=0.0),
        )


def everything(quick: bool) -> Iterator[Section]:
    """All scenarios. ``quick`` takes fewer and shorter traces."""
    seeds, jobs = (range(2), 1_200) if quick else (range(8), 3_000)
    many = range(4 if quick else 24)  # judged by a margin, which one draw does not have
    for name, made, load, drawn, judged in (
        ("one by one, 80 % load", workload.poisson, 0.8, many, True),
        ("one by one, 95 % load", workload.poisson, 0.95, seeds, False),
        ("in bursts, 80 % load", workload.bursts, 0.8, seeds, True),
    ):
        traces = [made(seed, jobs, load) for seed in drawn]
        at_most = figures.sooner_at_most(load) if made is workload.poisson else None
        yield priorities(f"Mixed priorities, {name}", traces, judged=judged, at_most=at_most)
    few, some = seeds[: 2 if quick else 4], jobs // 6
    yield others("One greedy user", [workload.greedy(seed, some, 0.3) for seed in few], _not_greedy, "the others")
    yield others(
        "One greedy user who says that all is urgent (priority 10)",
        [workload.greedy(seed, some, 0.3, priority=10) for seed in few],
        _not_greedy,
        "the others",
        judged=False,
    )
    newcomers = [workload.newcomer(seed, 12, EIGHT_HOURS_S) for seed in few[: 1 if quick else 4]]
    for server, known in (("", workload.RUN_S), (", on a server that has never run anything", NOTHING_KNOWN)):
        yield others(
            f"A newcomer who meets two users with eight hours queued each{server}",
            newcomers,
            lambda arrival: arrival.principal == "newcomer",
            "the newcomer",
            until="newcomer",
            known=known,
        )
    yield models(200 if quick else 600)
    traces = [workload.two_models_by_chance(seed, jobs, 0.5) for seed in few]
    title = f"Two models by turns and mixed priorities, one by one; 50 % load without loading, {LOAD_S:.0f} s to load"
    yield priorities(title, traces, judged=False, load_s=LOAD_S)


def priorities(
    title: str, traces: Sequence[Trace], *, judged: bool, load_s: float = 0.0, at_most: float | None = None
) -> Section:
    """Completion per priority, worst wait of the lowest, throughput, fairness, loads. ``at_most``: see ``sooner_at_most``."""
    sides = Sides.of(traces, load_s)
    groups: list[tuple[str, Callable[[Arrival], bool]]] = [
        (str(level), _at_priority(level)) for level in workload.PRIORITIES
    ]
    groups.append((f"**≥ {HIGH}**", _is_high))
    rows = [_group_row(name, of, sides) for name, of in groups]
    head = (
        "priority",
        "jobs",
        "FIFO mean",
        "p95",
        "Expeditor mean",
        "p95",
        "sooner: mean",
        "p95",
        "strict: mean sooner",
    )
    text = f"{_table(head, rows)}\n\n{_whole(sides)}"
    return Section(f"## {title}\n\n{text}", _priority_aims(title, sides, at_most) if judged else ())


def others(
    title: str,
    traces: Sequence[Trace],
    of: Callable[[Arrival], bool],
    who: str,
    *,
    until: str | None = None,
    known: Known = NOTHING_KNOWN,
    judged: bool = True,
) -> Section:
    """How long those jobs take beside what they would take at exactly equal shares."""
    sides = Sides.of(traces, until=until, known=known)
    fair_s = median(
        took[n] for run, took in zip(sides.ours, sides.fair_s, strict=True) for n in run.ended_s if of(run.trace[n])
    )
    rows: list[Cells] = [("exactly equal shares", f"{fair_s:.1f} s", "1.00", "")]
    ratios: dict[str, float] = {}
    for name, runs in (("FIFO", sides.fifo), ("Expeditor", sides.ours), ("strict", sides.strict)):
        got_s = median(run.completion_s(n) for run in runs for n in run.ended_s if of(run.trace[n]))
        ratios[name] = got_s / fair_s
        rows.append((name, f"{got_s:.1f} s", f"{ratios[name]:.2f}", f"{_fairness(runs, sides):.3f}"))
    text = _table(("order", f"median completion of {who}", "against equal shares", "Jain's index"), rows)
    got = f"{ratios['Expeditor']:.2f} (FIFO {ratios['FIFO']:.2f})"
    aim = Aim(f"{title}: median against equal shares", f"< {SHARE}", got, ratios["Expeditor"] < SHARE)
    told = f"Largest part used of what a job may be overtaken by: {sides.bound_used:.0%}."
    return Section(f"## {title}\n\n{text}\n\n{told}", (aim,) if judged else ())


def models(jobs: int) -> Section:
    """ABAB queued at once, by the length of a run and by what the server expects of it."""
    rows: list[Cells] = []
    aims: list[Aim] = []
    for run_s in (3.0, 6.0, 9.0, 15.0, 21.0, 35.0):
        trace = workload.two_models(jobs, run_s)
        fifo = play(trace, FifoLine(), LOAD_S)
        off = play(trace, OurLine(OrderPolicy(), slack_s=0.0), LOAD_S)
        expected = {"the run alone": run_s, "the run and a load": run_s + LOAD_S, "nothing (5 s)": 0.0}
        cells = [f"{run_s:.0f} s", str(fifo.loads), str(off.loads)]
        for what, known_s in expected.items():
            known = {"same": known_s} if known_s else NOTHING_KNOWN
            ours = play(trace, OurLine(OrderPolicy(), known_run_s=known), LOAD_S)
            share = ours.loads / fifo.loads
            cells.append(f"{ours.loads} ({share:.2f}; {ours.jobs_per_hour / fifo.jobs_per_hour:.2f}×)")
            if run_s == round(MEAN_RUN_S):
                name = f"ABAB of {run_s:.0f} s runs, expected: {what}; loads against FIFO"
                aims.append(Aim(name, "< 1/3", f"{share:.2f}", share < LOADS))
        rows.append(cells)
    head = ("a run alone", "FIFO", "affinity off", *(f"expected: {what}" for what in expected))
    title = f"Two models by turns (ABAB), {jobs} jobs of one user queued at once, {LOAD_S:.0f} s to load"
    told = "Loads; in brackets: against FIFO's, and jobs per hour against FIFO's."
    return Section(f"## {title}\n\n{told}\n\n{_table(head, rows)}", tuple(aims))


def aims_table(aims: Sequence[Aim]) -> str:
    """All aims beside what came out."""
    verdict = {True: "yes", False: "**no**", None: "too close to tell"}
    return _table(("what", "aim", "got", "met"), [(a.what, a.aim, a.got, verdict[a.met]) for a in aims])


def _priority_aims(title: str, sides: Sides, at_most: float | None) -> tuple[Aim, ...]:
    ours, strict = (figures.sooner(runs, sides.fifo, _is_high) for runs in (sides.ours, sides.strict))
    most = "" if at_most is None else f"; without interrupting runs at most {at_most:.1%} in the long run"
    speed = _mean_rate(sides.ours) / _mean_rate(sides.fifo)
    waits = [
        figures.worst_wait_s(ours) / figures.worst_wait_s(fifo)
        for ours, fifo in zip(sides.ours, sides.fifo, strict=True)
    ]
    wait = figures.mean(waits)
    return (
        Aim(
            f"{title}: priority ≥ {HIGH} end sooner than with FIFO",
            f"≥ {SOONER:.0%}",
            f"{ours.value:.1%} ± {ours.margin:.1%} (strict order: {strict.value:.1%}{most})",
            None if abs(ours.value - SOONER) < ours.margin else ours.value >= SOONER,
        ),
        Aim(f"{title}: throughput against FIFO", "unchanged", f"{speed:.4f}×", abs(speed - 1) < 0.0005),
        Aim(
            f"{title}: worst wait of priority 1 against FIFO's, in every trace",
            f"≤ {WORST_WAIT:.0f}×",
            f"{min(waits):.1f}× to {max(waits):.1f}× (mean {wait.value:.1f}× ± {wait.margin:.1f})",
            max(waits) <= WORST_WAIT,
        ),
    )


def _group_row(name: str, of: Callable[[Arrival], bool], sides: Sides) -> Cells:
    fifo, ours = completion(sides.fifo, of), completion(sides.ours, of)
    return (
        name,
        str(ours.jobs),
        f"{fifo.mean_s:.1f} s",
        f"{fifo.p95_s:.0f} s",
        f"{ours.mean_s:.1f} s",
        f"{ours.p95_s:.0f} s",
        f"{1 - ours.mean_s / fifo.mean_s:+.0%}",
        f"{1 - ours.p95_s / fifo.p95_s:+.0%}",
        f"{_sooner(sides.fifo, sides.strict, of):+.0%}",
    )


def _whole(sides: Sides) -> str:
    rows: list[Cells] = []
    for name, runs in (("FIFO", sides.fifo), ("Expeditor", sides.ours), ("strict", sides.strict)):
        wait_s = max(figures.worst_wait_s(run) for run in runs)
        used = f"{sides.bound_used:.0%}" if runs is sides.ours else ""
        loads = str(sum(run.loads for run in runs))
        cells = (f"{_mean_rate(runs):.1f}", f"{wait_s:.0f} s", f"{_fairness(runs, sides):.3f}", loads, used)
        rows.append((name, *cells))
    head = ("order", "jobs per hour", "worst wait of priority 1", "Jain's index", "model loads", "of the bound used")
    return _table(head, rows)


def _fairness(runs: Sequence[Run], sides: Sides) -> float:
    return fmean(figures.fairness(run, fair_s) for run, fair_s in zip(runs, sides.fair_s, strict=True))


def _sooner(fifo: Sequence[Run], runs: Sequence[Run], of: Callable[[Arrival], bool]) -> float:
    return 1 - completion(runs, of).mean_s / completion(fifo, of).mean_s


def _mean_rate(runs: Sequence[Run]) -> float:
    return fmean(run.jobs_per_hour for run in runs)


def _at_priority(level: int) -> Callable[[Arrival], bool]:
    return lambda arrival: arrival.priority == level


def _is_high(arrival: Arrival) -> bool:
    return arrival.priority >= HIGH


def _not_greedy(arrival: Arrival) -> bool:
    return arrival.principal != "greedy"


def _table(head: Cells, rows: Sequence[Cells]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
