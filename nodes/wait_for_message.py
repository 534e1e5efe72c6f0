"""A node that pauses the workflow until a person or a program sends it a text.

Owns its schema and what comes out at the deadline. The waiting is ``waiting``'s.
"""

from __future__ import annotations

from typing import Any

from comfy_api.latest import io

from ..jobs.waits import Ask
from .waiting import FAIL, AskingNode, asking_schema, no_answer, timeout_input, wait_for_answer

ON_TIMEOUT = ("use default", FAIL)


class WaitForMessage(AskingNode):
    """See the module's docstring."""

    @classmethod
    def define_schema(cls) -> Any:
        """One text comes out: the message, or the default at the deadline."""
        return asking_schema(
            node_id="WaitForMessage",
            display_name="Wait for message",
            description="Pauses until a message is sent to this node, from its own button or over HTTP.",
            inputs=_inputs(),
            outputs=[io.String.Output("message", display_name="message", tooltip="The text that was sent.")],
        )

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
        ask = Ask(label=label)
        answer = await wait_for_answer(cls, ask, timeout_s)
        if answer is None and on_timeout == FAIL:
            raise no_answer(ask, timeout_s)
        return io.NodeOutput(default_message if answer is None else answer.text)


def _inputs() -> list[Any]:
    return [
        io.String.Input("label", default="Message", tooltip="What the person is asked for."),
        timeout_input(),
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
