"""From measurements to a markdown table: measure, aim, stock, Expeditor, ratio or difference, and whether the aim is met.

Owns the aims. Asserts nothing: a benchmark tells, tests judge.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from dataclasses import dataclass

from benchmarks.measures import Figure, Gaps, Memory, Refusal, Submits

HEAD = ("measure", "aim", "stock", "Expeditor", "difference", "aim met")
ADDED_P50_S = 0.002
RATE_SHARE, RATE_STRETCH = 0.8, 1.0
REFUSAL_S, REFUSAL_BYTES = 0.3, 1_000_000
IMPORT_S, SCRAPE_S = 0.2, 0.005


@dataclass(frozen=True, slots=True)
class Row:
    """One line; `met` is None where there is no aim."""

    measure: str
    aim: str
    stock: str
    ours: str
    difference: str
    met: bool | None

    def cells(self) -> tuple[str, ...]:
        """In the order of `HEAD`."""
        verdict = {True: "yes", False: "**no**", None: ""}[self.met]
        return (self.measure, self.aim, self.stock, self.ours, self.difference, verdict)


def table(rows: list[Row]) -> str:
    """The rows as markdown."""
    lines = [HEAD, tuple("---" for _ in HEAD), *(row.cells() for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def machine() -> str:
    """What the figures were taken on, without a name of it."""
    return f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}, Python {platform.python_version()}, CPU only"


def submit_rows(found: Submits, clients: int, side: str, commit_s: float) -> Iterator[Row]:
    """For one number of clients; `commit_s` is one commit as that side sees it, injected delay included."""
    told = "" if side == "expeditor" else ", 5 ms added to each commit"
    stock, ours = found.p50["stock"], found.p50[side]
    added = ours.median - stock.median
    allowed = commit_s + ADDED_P50_S
    alone = clients == 1
    aim = f"≤ one commit + 2 ms ({_ms(allowed)})" if alone else ""
    yield Row(
        f"submit p50, {_clients(clients)}{told}",
        aim,
        _ms3(stock),
        _ms3(ours),
        _more(added),
        added <= allowed if alone else None,
    )
    stock, ours = found.p99["stock"], found.p99[side]
    yield Row(
        f"submit p99, {_clients(clients)}{told}",
        "",
        _ms3(stock),
        _ms3(ours),
        _more(ours.median - stock.median),
        None,
    )
    rate, mine = found.rate["stock"], found.rate[side]
    share = mine.median / rate.median
    aim = "" if alone else f"≥ {RATE_SHARE}×, stretch {RATE_STRETCH}×"
    met = None if alone else share >= RATE_SHARE
    yield Row(f"submits per second, {_clients(clients)}{told}", aim, _rate(rate), _rate(mine), f"{share:.2f}×", met)


def gap_rows(found: Gaps, what: str, commit_s: float) -> Iterator[Row]:
    """Between two jobs."""
    allowed = 2 * commit_s
    for name, figures in (("end mark → next start", found.from_end_mark), ("success → next start", found.from_success)):
        stock, ours = figures["stock"], figures["expeditor"]
        added = ours.median - stock.median
        yield Row(
            f"gap, {what}: {name}",
            f"≤ two commits ({_ms(allowed)})",
            _ms3(stock),
            _ms3(ours),
            _more(added),
            added <= allowed,
        )
    stock, ours = found.worst["stock"], found.worst["expeditor"]
    yield Row(
        f"gap, {what}: success → next start, p99",
        "",
        _ms3(stock),
        _ms3(ours),
        _more(ours.median - stock.median),
        None,
    )


def memory_rows(found: Memory, jobs: int) -> Iterator[Row]:
    """Resident memory, and the scrape that was asked for meanwhile."""
    for name, figures in (("at rest", found.before), (f"added by {jobs} queued jobs", found.added)):
        stock, ours = figures["stock"].median, figures["expeditor"].median
        yield Row(f"memory {name}", "", _mb(stock), _mb(ours), f"{(ours - stock) / 1e6:+.1f} MB", None)
    if found.scrape_s is not None:
        met = found.scrape_s.median < SCRAPE_S
        told = f"{_ms3(found.scrape_s)}, {found.scrape_bytes / 1e3:.0f} kB"
        yield Row(f"scrape with {jobs} queued", f"< {_ms(SCRAPE_S)}", "—", told, "", met)


def refusal_rows(found: Refusal, nodes: int) -> Iterator[Row]:
    """One prompt full of faults."""
    stock, ours = found.seconds["stock"], found.seconds["expeditor"]
    share = f"{ours.median / stock.median:.3f}×"
    yield Row(
        f"refusing {nodes} faulty nodes", f"< {_ms(REFUSAL_S)}", _ms3(stock), _ms3(ours), share, ours.median < REFUSAL_S
    )
    small = found.size["expeditor"] < REFUSAL_BYTES
    share = f"{found.size['expeditor'] / found.size['stock']:.3f}×"
    yield Row("… size of that answer", "< 1 MB", _mb(found.size["stock"]), _mb(found.size["expeditor"]), share, small)


def start_rows(start_ups: dict[str, Figure], imports: Figure | None) -> Iterator[Row]:
    """Process start and import."""
    stock, ours = start_ups["stock"], start_ups["expeditor"]
    yield Row("process start → first answer", "", _s(stock), _s(ours), f"{ours.median - stock.median:+.2f} s", None)
    if imports is not None:
        yield Row("reading the pack's modules", f"< {_ms(IMPORT_S)}", "—", _ms3(imports), "", imports.median < IMPORT_S)


def commit_row(commit: Figure) -> Row:
    """What everything durable is measured against."""
    return Row("one SQLite commit on this disk (probe)", "", "—", _ms3(commit), "", None)


def _clients(count: int) -> str:
    return "1 client" if count == 1 else f"{count} clients"


def _ms(seconds: float) -> str:
    return f"{seconds * 1e3:.2f} ms"


def _more(seconds: float) -> str:
    return f"{seconds * 1e3:+.2f} ms"


def _ms3(figure: Figure) -> str:
    return f"{figure.median * 1e3:.2f} ms ({figure.low * 1e3:.2f}–{figure.high * 1e3:.2f})"


def _s(figure: Figure) -> str:
    return f"{figure.median:.2f} s ({figure.low:.2f}–{figure.high:.2f})"


def _rate(figure: Figure) -> str:
    return f"{figure.median:.0f}/s ({figure.low:.0f}–{figure.high:.0f})"


def _mb(size: float) -> str:
    return f"{size / 1e6:.1f} MB"
