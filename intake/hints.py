"""The name that was probably meant, at a bounded price.

A thousand misspelt names must not cost a thousand searches: equal-but-for-case is looked up, each name is searched
once, and after a number of comparisons a request gets no further hints.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

_COMPARISONS = 10_000
_LONGEST_NAME = 100
_MOST_CANDIDATES = 4000
_CUTOFF = 0.6


class Hints:
    """The hints of one request."""

    def __init__(self, comparisons: int = _COMPARISONS) -> None:
        """``comparisons`` is how many pairs of names the whole request may compare (some 10 µs each)."""
        self._left = comparisons
        self._known: dict[tuple[str, str], str | None] = {}
        self._lowered: dict[str, dict[str, str]] = {}
        self._candidates: dict[str, tuple[str, ...]] = {}

    @property
    def comparisons_left(self) -> int:
        """How many comparisons this request may still have; below zero by at most the last search."""
        return self._left

    def nearest(self, name: str, group: str, candidates: Iterable[object]) -> str | None:
        """The candidate nearest to ``name``, or None. ``candidates`` is read once per ``group``, when first asked."""
        if len(name) > _LONGEST_NAME:
            return None
        key = (group, name)
        if key not in self._known:
            self._known[key] = self._search(name, self._names(group, candidates), group)
        return self._known[key]

    def did_you_mean(self, name: str, group: str, candidates: Iterable[object]) -> str | None:
        """``nearest`` as the sentence of a hint."""
        found = self.nearest(name, group, candidates)
        return None if found is None else f"did you mean {found!r}?"

    def _names(self, group: str, candidates: Iterable[object]) -> tuple[str, ...]:
        if group not in self._candidates:
            names = tuple(name for name in candidates if isinstance(name, str))[:_MOST_CANDIDATES]
            self._candidates[group] = names
            self._lowered[group] = {name.casefold(): name for name in names}
        return self._candidates[group]

    def _search(self, name: str, names: tuple[str, ...], group: str) -> str | None:
        same = self._lowered[group].get(name.strip().casefold())
        if same is not None or self._left <= 0 or not names:
            return same
        self._left -= len(names)
        found = difflib.get_close_matches(name, names, n=1, cutoff=_CUTOFF)
        return found[0] if found else None
