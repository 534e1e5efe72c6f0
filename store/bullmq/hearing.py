"""What others committed gets into what this member holds: by the word of a commit, which says what it changed, or by a look.

Owns what is taken in and told, and when a word is not enough. Used by the writing thread.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from ..done import Done, Verb
from .ledger import BullmqLedger, View
from .news import News
from .own import OwnRuns

_log = logging.getLogger("expeditor.store")


class Look:
    """No verb of anybody: a member looks whether others committed."""

    def __init__(self, begins: Callable[[], None]) -> None:
        """``begins`` is called whenever it is run."""
        self._begins = begins

    def __call__(self) -> Done[None]:
        """As a verb that changes nothing."""
        self._begins()
        return Done(None)


class Heard:
    """No verb of anybody: somebody committed, and said what. Whoever cannot make anything of it looks."""

    def __init__(self, told: bytes) -> None:
        """``told``: a view, packed, of one commit."""
        self.told = told

    def __call__(self) -> Done[None]:
        """As a verb that changes nothing."""
        return Done(None)


class Anew(Exception):
    """What is held in memory is not what Redis has any more, or too far behind: everything must be read again."""


class Hearing:
    """See the module's docstring."""

    def __init__(self, ledger: BullmqLedger, news: News, own: OwnRuns) -> None:
        """Nothing was heard yet."""
        self._ledger = ledger
        self._news = news
        self._own = own

    def suffices(self, words: Sequence[Verb]) -> bool:
        """Take in the words. Whether nobody needs to look: none of these is a ``Look``, and they said everything up to the last."""
        heard = [word for word in words if isinstance(word, Heard)]
        return all(self._took_in(word) for word in heard) and len(heard) == len(words)

    def take_in(self, view: View) -> None:
        """What others committed is so here too, and is told."""
        ledger = self._ledger
        if view.state is None or view.state.birth != ledger.state.birth or not view.whole:
            raise Anew
        told = ledger.state.position
        ledger.roll_back()
        lost = self._news.taken_in(view, ledger.line.get)
        woken = ledger.catch_up(view)
        for job_id, attempt in lost:
            self._own.lost(job_id)
            self._news.lost(job_id, attempt)
        self._news.tell(view, told, woken=woken)

    def _took_in(self, word: Heard) -> bool:
        """Whether nothing is missing up to this word."""
        try:
            view = View.of(word.told)
        except Exception:  # noqa: BLE001 - anybody may have published it; whoever looks sees what is so
            _log.debug("a word in the shared queue's channel cannot be read", exc_info=True)
            return False
        state, here = view.state, self._ledger.state
        if state is None or state.birth != here.birth or not view.whole:
            return False
        if state.version == here.version + len(view.tokens):
            self.take_in(view)
        return state.version <= self._ledger.state.version
