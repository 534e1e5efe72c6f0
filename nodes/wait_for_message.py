"""A node that pauses the workflow until a person or a program sends it a text.

Owns the waiting: its deadline, its interruption, and telling the page. Does not own delivery (``events.mailbox``).
"""

from __future__ import annotations

import asyncio
from typing import Any

import comfy.model_management
from comfy_api.latest import io
from comfy_execution.utils import get_executing_context
from server import PromptServer

from ..events.mailbox import Wait
from ..runtime.services import current
from .schema import schema

LOOK_INTERVAL_S = 0.1
MAX_TIMEOUT_S = 86400.0
ON_TIMEOUT = ("use default", "fail")


class NoAnswer(ValueError):
    """Nobody answered in time, and the author chose to fail. A ValueError, so that it is not retried."""


class WaitForMessage(io.ComfyNode):
    """Waits in a coroutine, so that other branches of the workflow go on meanwhile."""

    @classmethod
    def define_schema(cls) -> Any:
        """One text comes out: the message, or the default at the deadline."""
        return schema(
            node_id="WaitForMessage",
            display_name="Wait for message",
            category="Expeditor/Flow",
            description="Pauses until a message is sent to this node, from its own button or over HTTP.",
            inputs=_inputs(),
            outputs=[io.String.Output("message", display_name="message", tooltip="The text that was sent.")],
            hidden=[io.Hidden.unique_id],
            not_idempotent=True,
        )

    @classmethod
    def fingerprint_inputs(cls, **_inputs: Any) -> float:
        """Never cached: each run asks anew (NaN differs from itself)."""
        return float("nan")

    @classmethod
    async def execute(
        cls,
        label: str,
        timeout_s: float,
        default_message: str,
        on_timeout: str,
        after: Any = None,  # noqa: ARG003 - a link for the sake of order; its value is not looked at
    ) -> Any:
        """Wait for the message and pass it on."""
        if not 0 < timeout_s <= MAX_TIMEOUT_S:
            raise ValueError(f"timeout_s must be above 0 and at most {MAX_TIMEOUT_S:.0f} seconds, not {timeout_s}.")
        services = current()
        prompt_id, node_id = _where_we_run(cls.hidden.unique_id)
        wait = services.mailbox.open(
            prompt_id, node_id, label=label, deadline_s=timeout_s, max_bytes=services.settings.max_message_bytes
        )
        facts = wait.pending.describe()
        try:
            # To every page, not only the submitter's: whoever watches may answer, also for a job that came over HTTP.
            services.audience.notifier.send({"type": "message.waiting", **facts}, None)
            await _until_over(wait)
        finally:
            services.mailbox.close(wait.token)
            services.audience.notifier.send({"type": "message.closed", **facts}, None)
        message = wait.poll(0)  # after the close: an answer accepted in the last instant counts
        if message is None and on_timeout == "fail":
            raise NoAnswer(f"Nobody answered '{label}' within {timeout_s:g} s.")
        return io.NodeOutput(default_message if message is None else message)


def _inputs() -> list[Any]:
    return [
        io.String.Input("label", default="Message", tooltip="What the person is asked for."),
        io.Float.Input(
            "timeout_s", default=300.0, min=0.1, max=MAX_TIMEOUT_S, step=0.1, tooltip="How long to wait, in seconds."
        ),
        io.String.Input(
            "default_message", default="", multiline=True, tooltip="Passed on when nobody answers in time."
        ),
        io.Combo.Input(
            "on_timeout",
            options=list(ON_TIMEOUT),
            default=ON_TIMEOUT[0],
            tooltip="At the deadline: pass the default message on, or fail the job.",
        ),
        io.AnyType.Input("after", optional=True, tooltip="Anything: the wait begins once this has been made."),
    ]


def _where_we_run(unique_id: Any) -> tuple[str, str]:
    """Prompt id and node id; the context is core's own word, the server's last prompt id the older way."""
    context = get_executing_context()
    if context is not None:
        return context.prompt_id, context.node_id
    return str(getattr(PromptServer.instance, "last_prompt_id", "")), str(unique_id)


async def _until_over(wait: Wait) -> None:
    """Until the answer or the deadline; raises core's interruption.

    Core's own check clears the flag as it raises, and then a sister wait of the same node would not see it: so only read it.
    """
    while not wait.answered and not wait.expired:
        if comfy.model_management.processing_interrupted():
            raise comfy.model_management.InterruptProcessingException
        await asyncio.sleep(LOOK_INTERVAL_S)
