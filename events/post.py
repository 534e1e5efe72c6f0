"""Messages to waiting nodes wherever they wait: on this instance by its mailbox, on another one by asking it.

Owns what is known of the waits of others (each tells all of its own whenever they change and while there are any) and the question and
answer between two instances. Which wait a message reaches, and what a late one is told, is the mailbox's where the node waits. Without
other instances it is the mailbox alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from collections.abc import Callable, Iterable
from dataclasses import asdict, replace
from typing import Any, cast

from ..jobs.errors import Conflict, ExpeditorError, Gone, InputInvalid, LimitExceeded, NotFound, StoreUnavailable
from ..jobs.model import JsonObject
from ..jobs.waits import ASKED, CLOSED, Ask, Picture, ask_from, ask_json, read_answer
from .mailbox import Mailbox, fits
from .open_wait import BeingParked, Delivered, PendingWait
from .parked_waits import ParkedWaits
from .ports import PicturesElsewhere, Relayed
from .words import object_of

WAITS, ASK, ANSWER = "post.waits", "post.ask", "post.answer"
ANSWER_S = 2.0
"""How long an answer of another instance is waited for."""
PARKS_S = 5.0
"""How long a message waits for a job that is just being parked, or goes on, on another instance."""
LOOK_S = 0.05
BELIEVED_S = 15.0
"""How long the waits of an instance are believed that says no more; it says so every few seconds."""
TEXTS_MAX_BYTES = 1024 * 1024
"""How much of the texts that can be edited is told to others, as a relay takes no large words; the rest is not seen there."""
_FIELDS = ("token", "prompt_id", "node_id", "opened_at_s", "deadline_at_s", "max_bytes")
_REFUSALS: dict[str, type[ExpeditorError]] = {
    each.code: each for each in (Conflict, Gone, InputInvalid, LimitExceeded, NotFound)
}

Notify = Callable[[JsonObject], None]
"""Tells all pages of this instance."""


class PostOffice:
    """See the module's docstring. ``deliver`` and ``picture`` on the event loop, all else on any thread."""

    def __init__(
        self,
        mailbox: Mailbox,
        monotonic: Callable[[], float],
        relay: Relayed | None = None,
        pictures: PicturesElsewhere | None = None,
        parked: ParkedWaits | None = None,
        *,
        answer_s: float = ANSWER_S,
    ) -> None:
        """``relay`` and ``pictures``: None where no others are; ``parked``: None where nothing is parked."""
        self._answer_s = answer_s
        self._pictures = pictures
        self._parked = parked
        self._mailbox = mailbox
        self._monotonic = monotonic
        self._relay = relay
        self._notify: Notify = lambda _: None
        self._lock = threading.Lock()
        self._others: dict[str, tuple[float, tuple[PendingWait, ...]]] = {}
        self._expected: dict[str, tuple[float, str, PendingWait]] = {}
        self._asked: dict[str, tuple[asyncio.AbstractEventLoop, asyncio.Future[JsonObject]]] = {}
        self._questions = 0
        if relay is not None:
            relay.listen(WAITS, self._hear_waits)
            relay.listen(ASK, self._hear_question)
            relay.listen(ANSWER, self._hear_answer)
            mailbox.on_change(self.announce)

    def join(self, notify: Notify) -> None:
        """From now on pages here are told of what waits elsewhere."""
        self._notify = notify

    def announce(self) -> None:
        """Tell the others what waits here."""
        if self._relay is not None:
            self._relay.send(None, WAITS, _json(_waits_json(self._mailbox.own())))

    def refresh(self) -> None:
        """Every few seconds: the others go on believing that something waits here."""
        if self._mailbox.own():
            self.announce()

    def expect(self, instance: str, waits: tuple[PendingWait, ...]) -> None:
        """A job goes on there with these questions: for a moment they wait there though that instance has not said so yet."""
        tokens = {wait.token for wait in waits}
        with self._lock:
            for name, (at_s, known) in tuple(self._others.items()):
                self._others[name] = (at_s, tuple(wait for wait in known if wait.token not in tokens))
            self._expected.update({wait.token: (self._monotonic(), instance, wait) for wait in waits})

    def pending(self) -> tuple[PendingWait, ...]:
        """The waits that can still be answered on any instance, oldest first."""
        found = [*self._mailbox.pending(), *(wait for _, wait in self._elsewhere())]
        return tuple(sorted(found, key=lambda wait: wait.opened_at_s))

    async def deliver(
        self, message: str, node_id: str, token: str | None = None, prompt_id: str | None = None
    ) -> Delivered:
        """As ``Mailbox.deliver``; ``StoreUnavailable`` when the instance where the node waits does not answer: then the message may
        have reached it."""
        end_s = asyncio.get_running_loop().time() + PARKS_S
        while True:
            here = [wait for wait in self._mailbox.pending() if fits(wait, node_id, token, prompt_id)]
            away = [(name, wait) for name, wait in self._elsewhere() if fits(wait, node_id, token, prompt_id)]
            if len(away) + len(here) > 1 and away:
                tokens = [*(wait.token for wait in here), *(wait.token for _, wait in away)]
                text = f"{len(tokens)} waits fit node {node_id}; send the token of one of them."
                raise Conflict(text, details={"tokens": tokens})
            if away:
                instance, wait = away[0]
                read_answer(wait.ask, message)  # judged there too; here the refusal comes with its pointer and hint
                delivered = await self._deliver_there(instance, wait, message, end_s)
            else:
                delivered = await self._deliver_here(message, node_id, token, prompt_id)
            if delivered is not None:
                return delivered
            token = token or next((wait.token for wait in (*here, *(each for _, each in away))), None)

    async def picture(self, token: str, number: int) -> Picture:
        """As ``Mailbox.picture``, of any wait that can be answered; ``StoreUnavailable`` when its instance cannot be asked now."""
        asked = next((wait for wait in self.pending() if wait.token == token), None)
        runs_at = [name for name, wait in self._elsewhere() if wait.token == token]
        parked_at = () if asked is None or self._parked is None else self._parked.holders(asked.prompt_id)
        if asked is None or self._pictures is None or not (runs_at or parked_at):
            return await asyncio.to_thread(self._mailbox.picture, token, number)
        if number >= asked.ask.pictures:
            raise NotFound(f"That wait has no picture {number}.")
        refusals: list[ExpeditorError] = []
        # A run may have made other ones than those that were shown when its job was parked; of these a copy may be here.
        for instance in dict.fromkeys((*runs_at, None, *parked_at)):
            try:
                if instance is None:
                    return await asyncio.to_thread(self._mailbox.picture, token, number)
                return await self._pictures.picture(instance, token, number)
            except (NotFound, Gone, StoreUnavailable) as refusal:
                refusals.append(refusal)
        raise next((refusal for refusal in refusals if isinstance(refusal, StoreUnavailable)), refusals[0])

    async def _deliver_here(
        self, message: str, node_id: str, token: str | None = None, prompt_id: str | None = None
    ) -> Delivered | None:
        """None: look again where the question is asked by now."""
        parked = None if self._parked is None else self._mailbox.parked(message, node_id, token, prompt_id)
        if parked is not None and self._parked is not None:
            return await self._parked.deliver(parked, message)
        try:
            return self._mailbox.deliver(message, node_id, token, prompt_id)
        except BeingParked:
            if self._parked is None:
                raise
        return None

    async def _deliver_there(self, instance: str, wait: PendingWait, message: str, end_s: float) -> Delivered | None:
        """None: the job is just being parked there, or goes on: look again."""
        try:
            return await self._ask(instance, {"message": message, "node_id": wait.node_id, "token": wait.token})
        except BeingParked:
            if asyncio.get_running_loop().time() > end_s:
                raise
        await asyncio.sleep(LOOK_S)
        return None

    async def _ask(self, instance: str, question: JsonObject) -> Delivered:
        loop = asyncio.get_running_loop()
        answered: asyncio.Future[JsonObject] = loop.create_future()
        with self._lock:
            self._questions += 1
            number = str(self._questions)
            self._asked[number] = (loop, answered)
        try:
            if self._relay is not None:
                self._relay.send(instance, ASK, _json({**question, "question": number}))
            answer = await asyncio.wait_for(answered, self._answer_s)
        except asyncio.TimeoutError as error:
            text = f"Instance {instance}, where the node waits, did not answer; the message may have reached it."
            raise StoreUnavailable(text) from error
        finally:
            with self._lock:
                self._asked.pop(number, None)
        if answer.get("code") == StoreUnavailable.code:
            raise BeingParked(str(answer.get("message")), retry_after_s=1)
        refusal = _REFUSALS.get(str(answer.get("code")))
        if refusal is not None:
            raise refusal(str(answer.get("message")), details=cast("JsonObject", answer.get("details") or {}))
        return Delivered(str(answer["token"]), str(answer["node_id"]), str(answer["prompt_id"]))

    def _elsewhere(self) -> list[tuple[str, PendingWait]]:
        """What waits on others and is not known here as a parked job's; each once."""
        now_s, here = self._monotonic(), {wait.token for wait in self._mailbox.pending()}
        with self._lock:
            self._lapse(now_s)
            others = sorted(self._others.items(), key=lambda told: told[1][0])
            found = {token: (name, wait) for token, (_, name, wait) in self._expected.items()}
        since_s = now_s - BELIEVED_S
        found.update({wait.token: (name, wait) for name, (at_s, waits) in others if at_s >= since_s for wait in waits})
        return [told for token, told in found.items() if token not in here and not self._mailbox.is_over(token)]

    def _lapse(self, now_s: float) -> None:
        self._expected = {token: told for token, told in self._expected.items() if told[0] >= now_s - PARKS_S}

    def _hear_waits(self, sender: str, _kind: str, body: bytes) -> None:
        waits = tuple(wait for each in _list(body) if (wait := _wait_of(each)) is not None)
        now_s = self._monotonic()
        with self._lock:
            _, before = self._others.get(sender, (0.0, ()))
            self._lapse(now_s)
            # Who had the job before may have said so just before it heard that it has it no more.
            waits = tuple(wait for wait in waits if self._expected.get(wait.token, (now_s, sender))[1] == sender)
            for wait in waits:
                self._expected.pop(wait.token, None)
            if waits:
                self._others[sender] = (now_s, waits)
            else:
                self._others.pop(sender, None)
            elsewhere = {wait.token for _, told in self._others.values() for wait in told}
        known, now = {wait.token for wait in before}, {wait.token for wait in waits}
        mailbox = self._mailbox
        for wait in before:
            gone = wait.token not in now and wait.token not in elsewhere and not mailbox.is_open(wait.token)
            if gone and not mailbox.is_over(wait.token):
                mailbox.remember_over(wait)
                self._notify({"type": CLOSED, **wait.describe()})
        for wait in waits:
            if wait.token not in known and not mailbox.is_open(wait.token):
                mailbox.asked_again(wait)
                self._notify({"type": ASKED, **wait.describe()})

    def _hear_question(self, sender: str, _kind: str, body: bytes) -> None:
        question = object_of(body)
        try:
            delivered = self._mailbox.deliver(
                str(question.get("message")), str(question.get("node_id")), str(question.get("token"))
            )
            answer: JsonObject = asdict(delivered)
        except ExpeditorError as refusal:
            answer = {"code": refusal.code, "message": refusal.message, "details": dict(refusal.details)}
        if self._relay is not None:
            self._relay.send(sender, ANSWER, _json({**answer, "question": question.get("question")}))

    def _hear_answer(self, _sender: str, _kind: str, body: bytes) -> None:
        answer = object_of(body)
        with self._lock:
            asked = self._asked.pop(str(answer.get("question")), None)
        if asked is not None:
            loop, answered = asked
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(lambda: None if answered.done() else answered.set_result(answer))


def _json(value: Any) -> bytes:
    return json.dumps(value).encode()


def _list(body: bytes) -> list[Any]:
    try:
        found: Any = json.loads(body)
    except (ValueError, RecursionError):
        return []
    return cast("list[Any]", found) if isinstance(found, list) else []


def _waits_json(waits: Iterable[PendingWait]) -> list[JsonObject]:
    told: list[JsonObject] = []
    left_bytes = TEXTS_MAX_BYTES
    for wait in waits:
        left_bytes -= len(wait.ask.text.encode("utf-8", "surrogatepass"))
        told.append(_wait_json(wait, wait.ask if left_bytes >= 0 else replace(wait.ask, text="")))
    return told


def _wait_json(wait: PendingWait, ask: Ask) -> JsonObject:
    # The label also as instances of earlier versions look for it.
    return {**{name: getattr(wait, name) for name in _FIELDS}, "label": ask.label, "ask": ask_json(ask)}


def _wait_of(value: Any) -> PendingWait | None:
    try:
        ask = ask_from(value["ask"]) if "ask" in value else Ask(label=str(value["label"]))
        return PendingWait(**{name: value[name] for name in _FIELDS}, ask=ask)
    except (KeyError, TypeError, ValueError):
        return None
