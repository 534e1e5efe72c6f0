"""From what `growth.py` measured to text: the aims at one depth, a table of all depths, and one plot per figure.

Owns the aims. The plots are drawn by matplotlib (extra `bench`); without it the text says so and nothing else is lost.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.depths import AtDepth, Growth

AIM_DEPTH = 10_000
PAGE_S, STATUS_S, CLAIM_S, RECOVERY_S = 0.020, 0.002, 0.005, 5.0
SUBMIT_SHARE, MEMORY_SHARE = 2.0, 1.5
PLOT = "growth.svg"
_PLOTTED: tuple[tuple[str, str, Callable[[AtDepth], float]], ...] = (
    ("submit p50 (ms)", "submit_p50_s", lambda row: row.submit_p50_s * 1e3),
    ("submit p99 (ms)", "submit_p99_s", lambda row: row.submit_p99_s * 1e3),
    ("page of 50, stock: whole queue (ms)", "page_s", lambda row: row.page_s * 1e3),
    ("status of a waiting job (ms)", "status_s", lambda row: row.status_s * 1e3),
    ("success → next start (ms)", "claim_s", lambda row: row.claim_s * 1e3),
    ("resident memory (MB)", "rss_bytes", lambda row: row.rss_bytes / 1e6),
)


def page(machine: str, found: Sequence[Growth], stored: int) -> str:
    """The text of the part."""
    stock, ours = found
    lines = [
        (
            f"{machine}. One client at a time; two-node prompts; {stored:,} finished jobs in Expeditor's database (stock keeps"
            " none). A stock server has no pages and no status of a waiting job: a client reads the whole queue, and that is"
            " what stands there."
        ),
        "",
        *_aims(stock, ours, stored),
        "",
        "| waiting | side | submit p50 | submit p99 | page of 50 | status | success → next start | memory | recovery |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for rows in zip(stock.rows, ours.rows, strict=True):
        for growth, row in zip(found, rows, strict=True):
            recovered = growth.recovery_s.get(_rounded(row.waiting, growth))
            lines.append(_line(growth.side, row, recovered))
    return "\n".join(lines) + "\n"


def draw(found: Sequence[Growth], file: Path) -> None:
    """One picture with a plot per figure. `SystemExit` with one sentence when matplotlib is missing."""
    try:
        import matplotlib as mpl  # noqa: PLC0415 - optional: only the plots need it
    except ImportError:
        raise SystemExit('The plots need matplotlib: pip install "expeditor[bench]".') from None
    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "expeditor"
    mpl.rcParams["svg.fonttype"] = "none"
    from matplotlib import pyplot as plt  # noqa: PLC0415

    figure, axes = plt.subplots(2, 3, figsize=(12, 6.5), layout="constrained")
    for axis, (title, _, value) in zip(axes.flat, _PLOTTED, strict=True):
        for growth, style in zip(found, ("o--", "s-"), strict=True):
            axis.plot(
                [max(row.waiting, 1) for row in growth.rows],
                [value(row) for row in growth.rows],
                style,
                label=growth.side,
            )
        axis.set_xscale("log")
        axis.set_yscale("log")
        axis.set_title(title, fontsize=10)
        axis.set_xlabel("jobs waiting", fontsize=8)
        axis.grid(visible=True, which="major", alpha=0.3)
        axis.legend(fontsize=8)
    figure.savefig(file, format="svg", metadata={"Date": None})
    plt.close(figure)


def _aims(stock: Growth, ours: Growth, stored: int) -> list[str]:
    deep = next((row for row in ours.rows if row.waiting >= AIM_DEPTH), None)
    if deep is None:
        return [f"Not measured down to {AIM_DEPTH:,} waiting jobs: no aims to judge."]
    beside, empty = stock.rows[ours.rows.index(deep)], ours.rows[0]
    submit = deep.submit_p99_s / empty.submit_p99_s
    stock_submit = beside.submit_p99_s / stock.rows[0].submit_p99_s
    # What the queue itself takes: the process without it is mostly torch.
    memory = (deep.rss_bytes - empty.rss_bytes) / max(beside.rss_bytes - stock.rows[0].rss_bytes, 1)
    recovery_s = ours.recovery_s[AIM_DEPTH]
    return [
        f"With {AIM_DEPTH:,} waiting jobs ({stored:,} more stored):",
        "",
        "| | aim | Expeditor | stock | met |",
        "| --- | --- | --- | --- | --- |",
        _within("list page of 50", deep.page_s, beside.page_s, PAGE_S),
        _within("status of a waiting job", deep.status_s, beside.status_s, STATUS_S),
        _share("submit p99 against an empty queue", submit, stock_submit, SUBMIT_SHARE),
        _within("success → next start (claim and more)", deep.claim_s, beside.claim_s, CLAIM_S),
        _row(
            "recovery of 10,000 waiting", f"< {RECOVERY_S:g} s", f"{recovery_s:.2f} s", "lost", recovery_s < RECOVERY_S
        ),
        _share("memory that the queue takes, against stock's", memory, 1.0, MEMORY_SHARE),
    ]


def _within(name: str, got_s: float, stock_s: float, aim_s: float) -> str:
    return _row(name, f"< {_ms(aim_s)}", _ms(got_s), _ms(stock_s), got_s < aim_s)


def _share(name: str, got: float, stock: float, aim: float) -> str:
    return _row(name, f"≤ {aim:g}×", f"{got:.2f}×", f"{stock:.2f}×", got <= aim)


def _row(name: str, aim: str, got: str, stock: str, met: bool) -> str:
    return f"| {name} | {aim} | {got} | {stock} | {'yes' if met else '**no**'} |"


def _line(side: str, row: AtDepth, recovery_s: float | None) -> str:
    cells = (
        f"{row.waiting:,}",
        side,
        _ms(row.submit_p50_s),
        _ms(row.submit_p99_s),
        _ms(row.page_s),
        _ms(row.status_s),
        _ms(row.claim_s),
        f"{row.rss_bytes / 1e6:.0f} MB",
        "lost" if side == "stock" else "" if recovery_s is None else f"{recovery_s:.2f} s",
    )
    return "| " + " | ".join(cells) + " |"


def _rounded(waiting: int, growth: Growth) -> int:
    """The depth that was asked for: some jobs more wait, those of earlier measurements."""
    return max((depth for depth in growth.recovery_s if depth <= waiting), default=0)


def _ms(seconds: float) -> str:
    return f"{seconds * 1e3:.2f} ms"
