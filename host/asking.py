"""Asks another instance whether a prompt may run there. Fits ``intake.abroad.Asking``.

Owns the question's way over HTTP and what a failure means. Does not own who is asked, nor for how long (``intake.abroad``). Used on
ComfyUI's loop; the request itself runs on the peers' thread.
"""

from __future__ import annotations

import asyncio

from ..jobs.errors import InputInvalid, StoreUnavailable
from ..jobs.questions import Answer, Question, answer_from, question_json
from .peers import PeerAway, PeerRefused, Peers, PeerThread

PATH = "/validate"


class PeerQuestions:
    """See the module's docstring."""

    def __init__(self, name: str, peers: Peers, thread: PeerThread, most_bytes: int) -> None:
        """``name`` is this instance's; ``most_bytes`` bounds an answer."""
        self.origin = name
        self._peers = peers
        self._thread = thread
        self._most_bytes = most_bytes

    async def ask(self, instance: str, question: Question) -> Answer:
        """What that instance says. Raises ``StoreUnavailable`` when it cannot be asked now, ``InputInvalid`` when it does not understand.
        Cancelled, it lets the request go."""
        asked = self._peers.ask(instance, PATH, question_json(question), most_bytes=self._most_bytes)
        try:
            return answer_from(await asyncio.wrap_future(self._thread.run(asked)))
        except PeerAway as away:
            raise StoreUnavailable(str(away)) from away
        except PeerRefused as refused:
            raise InputInvalid(str(refused)) from refused
