"""What a run elsewhere says before this instance has heard that it began, kept for a moment and within bounds.

Owns which of these words are kept: the first ones of each job, of its pictures the last alone, and of all jobs together no more than a
fixed number of bytes; the jobs that were silent the longest give way. Not thread-safe: ``inbound`` calls it under its lock.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field

from ..jobs.relayed import Message, Preview

EARLY_JOBS = 64
EARLY_WORDS = 500
EARLY_MAX_BYTES = 16 * 1024 * 1024
"""Of all these words together, as they were sent."""

Word = Message | Preview


@dataclass(slots=True)
class _Said:
    words: list[tuple[Word, int]] = field(default_factory=list[tuple[Word, int]])
    size_bytes: int = 0


class EarlyWords:
    """See the module's docstring."""

    def __init__(self) -> None:
        """Nothing was said yet."""
        self._said: OrderedDict[tuple[str, str], _Said] = OrderedDict()
        self.size_bytes = 0

    def keep(self, sender: str, word: Word, size_bytes: int) -> None:
        """Somebody said this, in so many bytes. A word that has no room is left out."""
        key = (sender, word.job_id)
        said = self._said.setdefault(key, _Said())
        self._said.move_to_end(key)
        if isinstance(word, Preview):
            self._drop_picture(said)
        if len(said.words) < EARLY_WORDS and said.size_bytes + size_bytes <= EARLY_MAX_BYTES:
            said.words.append((word, size_bytes))
            said.size_bytes += size_bytes
            self.size_bytes += size_bytes
        while len(self._said) > EARLY_JOBS or self.size_bytes > EARLY_MAX_BYTES:
            self._take(next(iter(self._said)))

    def taken(self, sender: str, job_id: str) -> list[Word]:
        """What this one said of this job, in its order; it is kept no longer."""
        return [word for word, _ in self._take((sender, job_id)).words]

    def forget(self, job_id: str) -> None:
        """Whatever anybody said of this job."""
        for key in [key for key in self._said if key[1] == job_id]:
            self._take(key)

    def _take(self, key: tuple[str, str]) -> _Said:
        said = self._said.pop(key, None) or _Said()
        self.size_bytes -= said.size_bytes
        return said

    def _drop_picture(self, said: _Said) -> None:
        for at, (word, size_bytes) in enumerate(said.words):
            if isinstance(word, Preview):
                del said.words[at]
                said.size_bytes -= size_bytes
                self.size_bytes -= size_bytes
                return
