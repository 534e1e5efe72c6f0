"""What all nodes that wait for a person share: one open question, told to every page, until its answer, its deadline or an interruption.

Owns the order of these steps, the look for an interruption, and the frame of such a node. Does not own delivery (``events.mailbox``),
what an answer may say (``jobs.waits``), nor what a node makes of one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import comfy.model_management
from comfy_api.latest import io

from ..events.open_wait import Wait
from ..jobs.waits import ASKED, CLOSED, Answer, Ask, Picture, read_answer
from ..runtime.services import current
from .previews import previews
from .schema import schema
from .whereabouts import where_we_run

LOOK_INTERVAL_S = 0.1
MAX_TIMEOUT_S = 86400.0
FAIL = "fail"


class NoAnswer(ValueError):
    """Nobody answered in time, and the author chose to fail. A ValueError, so that it is not retried."""


class AskingNode(io.ComfyNode):
    """A node that waits in a coroutine, so that other branches of the workflow go on meanwhile."""

    @classmethod
    def fingerprint_inputs(cls, **_inputs: Any) -> float:
        """Never cached: each run asks anew (NaN differs from itself)."""
        return float("nan")


def asking_schema(**declared: Any) -> Any:
    """The schema of an `AskingNode`; two of them that look alike ask twice, and each knows which it is."""
    return schema(category="Expeditor/Flow", hidden=[io.Hidden.unique_id], not_idempotent=True, **declared)


async def wait_for_answer(node: type[Any], ask: Ask, timeout_s: float, images: Any = None) -> Answer | None:
    """The answer to ``ask``, already judged; None if none has come ``timeout_s`` after the question was first asked.

    ``node`` is the class as ``execute`` has it, which knows its id; of ``images``, a batch, the first ``ask.pictures`` are shown.
    Raises core's interruption, ``ValueError`` for what cannot be asked, and ``NotStored`` when the pictures cannot be kept to be shown.
    """
    services = current()
    _check(ask, timeout_s, services.settings.max_message_bytes)
    prompt_id, node_id, index = where_we_run(node.hidden.unique_id)
    wait = await asyncio.to_thread(
        services.mailbox.open,
        prompt_id,
        node_id,
        ask=ask,
        deadline_s=timeout_s,
        max_bytes=services.settings.max_message_bytes,
        pictures=_watched(previews(images, ask.pictures)),
        index=index,
    )
    facts = wait.pending.describe()
    try:
        # To every page, not only the submitter's: whoever watches may answer, also for a job that came over HTTP.
        if not wait.answered:
            services.audience.notifier.send({"type": ASKED, **facts}, None)
        await _until_over(wait, lambda: services.machine.parking.parks(prompt_id, node_id))
    finally:
        if services.mailbox.close(wait.token):  # not while its job is parked: the question stays
            services.audience.notifier.send({"type": CLOSED, **facts}, None)
    message = wait.poll(0)  # after the close: an answer accepted in the last instant counts
    return None if message is None else read_answer(ask, message)


def no_answer(ask: Ask, timeout_s: float) -> NoAnswer:
    """What a node raises whose author chose to fail at the deadline."""
    return NoAnswer(f"Nobody answered '{ask.label}' within {timeout_s:g} s.")


def timeout_input() -> Any:
    """The input ``timeout_s``, as all of these nodes have it."""
    return io.Float.Input(
        "timeout_s", default=300.0, min=0.1, max=MAX_TIMEOUT_S, step=0.1, tooltip="How long to wait, in seconds."
    )


def _check(ask: Ask, timeout_s: float, max_bytes: int) -> None:
    if not 0 < timeout_s <= MAX_TIMEOUT_S:
        raise ValueError(f"timeout_s must be above 0 and at most {MAX_TIMEOUT_S:.0f} seconds, not {timeout_s}.")
    size_bytes = len(ask.text.encode("utf-8", "surrogatepass"))
    if size_bytes > max_bytes:
        raise ValueError(f"The text to edit has {size_bytes} bytes of UTF-8; at most {max_bytes} can be sent back.")


def _watched(pictures: Iterator[Picture]) -> Iterator[Picture]:
    """Making many large ones takes a while, in which somebody may interrupt."""
    for picture in pictures:
        _look_for_interruption()
        yield picture


async def _until_over(wait: Wait, parks: Callable[[], bool]) -> None:
    """Until the answer or the deadline; raises core's interruption, also to have the job parked."""
    while not wait.answered and not wait.expired:
        _look_for_interruption()
        if parks():
            raise comfy.model_management.InterruptProcessingException
        await asyncio.sleep(LOOK_INTERVAL_S)


def _look_for_interruption() -> None:
    # Core's own check clears the flag as it raises, and then a sister wait of the same node would not see it: so only read it.
    if comfy.model_management.processing_interrupted():
        raise comfy.model_management.InterruptProcessingException
