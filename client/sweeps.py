"""Many prompts out of one: which inputs take which values, as zipped lists and products. Pure but for ``@file`` lists.

    --sweep 3.seed=1..20 --zip 6.text=@prompts.txt --zip 9.prefix=a,b,c

Each ``--sweep`` is an axis of its own; all ``--zip`` walk together, and are one axis. The items are the product of the axes.
"""

from __future__ import annotations

import itertools
import json
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .faults import BadInput
from .workflow import Target, assignment, value_of

MOST_ITEMS = 100_000
_RANGE = re.compile(r"(-?\d+(?:\.\d+)?)\.\.(-?\d+(?:\.\d+)?)(?:\.\.(-?\d+(?:\.\d+)?))?")

Values = dict[Target, Any]


@dataclass(frozen=True, slots=True)
class Axis:
    """Inputs that change together: the same number of values for each."""

    targets: tuple[Target, ...]
    steps: tuple[tuple[Any, ...], ...]


def axes_of(sweeps: Sequence[str], zips: Sequence[str]) -> list[Axis]:
    """The axes of a command line. Raises ``BadInput`` for unequal zips, an input that is named twice, a list without values."""
    single = [_listed(text) for text in sweeps]
    axes = [Axis((target,), tuple((value,) for value in values)) for target, values in single]
    zipped = [_listed(text) for text in zips]
    if zipped:
        lengths = {str(target): len(values) for target, values in zipped}
        if len(set(lengths.values())) > 1:
            told = ", ".join(f"{name} has {count}" for name, count in lengths.items())
            raise BadInput(f"--zip lists walk together and must be of one length: {told}.")
        axes.append(
            Axis(tuple(target for target, _ in zipped), tuple(zip(*(values for _, values in zipped), strict=True)))
        )
    named = [target for axis in axes for target in axis.targets]
    for target in named:
        if named.count(target) > 1:
            raise BadInput(f"{target} is swept twice.")
    return axes


def count_of(axes: Sequence[Axis]) -> int:
    """How many items the axes make; one when there are none."""
    return math.prod(len(axis.steps) for axis in axes)


def items_of(axes: Sequence[Axis]) -> list[Values]:
    """The values of each item; the last axis changes fastest."""
    if count_of(axes) > MOST_ITEMS:
        raise BadInput(f"That makes {count_of(axes):,} jobs; at most {MOST_ITEMS:,} go into one batch.")
    return [
        {
            target: value
            for axis, step in zip(axes, steps, strict=True)
            for target, value in zip(axis.targets, step, strict=True)
        }
        for steps in itertools.product(*(axis.steps for axis in axes))
    ]


def _listed(text: str) -> tuple[Target, list[Any]]:
    target, told = assignment(text)
    values = _values(told)
    if not values:
        raise BadInput(f"{text!r} names no values.")
    return target, values


def _values(told: str) -> list[Any]:
    """``1..20``, ``0..1..0.25``, ``a,b,c``, a JSON list, or ``@file`` with one value a line."""
    if told.startswith("@"):
        return _lines(Path(told[1:]))
    if told.startswith("["):
        try:
            return json.loads(told)
        except ValueError as fault:
            raise BadInput(f"{told!r} begins as a JSON list and is none: {fault}") from fault
    if found := _RANGE.fullmatch(told):
        return _range(*found.groups())
    return [value_of(part) for part in told.split(",")] if told else []


def _range(first: str, last: str, step: str | None) -> list[Any]:
    if all("." not in part for part in (first, last, step or "")):
        # By integers: seeds are larger than a float is exact.
        start, end = int(first), int(last)
        by = int(step) if step else (1 if end >= start else -1)
        count = (end - start) // by + 1 if by else 0
        values: Iterable[Any] = range(start, start + count * by, by or 1)
    else:
        start_at, end_at = float(first), float(last)
        stride = float(step) if step else math.copysign(1.0, end_at - start_at)
        count = math.floor((end_at - start_at) / stride + 1e-9) + 1 if stride else 0
        values = (round(start_at + number * stride, 10) for number in range(count))
    if count < 1:
        raise BadInput(f"{first}..{last}..{step} leads nowhere.")
    if count > MOST_ITEMS:
        raise BadInput(f"{first}..{last} has {count:,} values; at most {MOST_ITEMS:,} go into one batch.")
    return list(values)


def _lines(file: Path) -> list[Any]:
    try:
        text = file.read_text("utf-8")
    except OSError as fault:
        raise BadInput(f"{file} cannot be read: {fault.strerror or fault}") from fault
    return [line for line in text.splitlines() if line.strip()]
