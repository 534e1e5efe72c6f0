"""Two guards that keep one bad prompt from stopping the server.

* ``send``: an exception other than a lost connection in ``PromptServer.send`` ends ComfyUI's process (its publish loop has
  no handler); the wrapper logs and swallows it.
* ``execute``: a ``BaseException`` that leaves ``PromptExecutor.execute`` kills the worker thread, after which nothing ever runs
  again; the wrapper turns it into a failed run. A failed run may be executed once more from here (``Again``).

Both call the original first and pass everything through unchanged.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import time
import traceback
from collections.abc import Awaitable, Callable
from typing import Any, Protocol, cast

log = logging.getLogger("expeditor.host")


Call = tuple[tuple[Any, ...], dict[str, Any]]
Again = Callable[[Any, Call], Call | None]
"""Given the executor and the call that has just ended: the next call, or None. Never raises."""

Ran = Callable[[Any, Any], None]
"""Told the executor and the prompt of an execution that has ended. Never raises."""


class Around(Protocol):
    """Hears of each execution before and after, with the executor, and the prompt's id. Never raises."""

    def before(self, executor: Any, prompt_id: str, prompt: Any) -> None:
        """It begins."""
        ...

    def after(self, executor: Any, prompt_id: str) -> None:
        """It has ended."""
        ...


def guard_send(server: Any, connected: Callable[[object], None] | None = None) -> None:
    """Wrap ``server.send`` on the instance. ``connected`` hears the id of each client that has just been greeted."""
    original: Callable[..., Awaitable[Any]] = server.send

    @functools.wraps(original)
    async def send(*args: Any, **kwargs: Any) -> Any:
        try:
            result = await original(*args, **kwargs)
            if connected is not None and (greeted := _greeted(*args, **kwargs)) is not None:
                connected(greeted)
            return result
        except asyncio.CancelledError:
            raise
        except Exception as error:  # noqa: BLE001 - one message that cannot be sent must not end the process
            event = args[0] if args else kwargs.get("event")
            log.warning(
                "A socket message could not be sent and was dropped: %s: %s",
                event,
                error,
                extra={"event": "send.dropped"},
            )
            return None

    server.send = send


def _greeted(event: object = None, data: object = None, *_: object, **__: object) -> object:
    """The client that a message greets: core sends each new socket the status together with its id."""
    return cast("dict[str, object]", data).get("sid") if event == "status" and isinstance(data, dict) else None


def guard_execute(
    executor_class: Any, again: Again | None = None, ran: Ran | None = None, around: Around | None = None
) -> None:
    """Wrap ``PromptExecutor.execute`` on the class; the worker thread makes its executor later.

    ``ran`` is told the executor and the prompt after each execution, however it ended; it must not raise.
    """
    original: Callable[..., Any] = executor_class.execute

    @functools.wraps(original)
    def execute(executor: Any, *args: Any, **kwargs: Any) -> Any:
        result = execute_once(executor, *args, **kwargs)
        call: Call | None = (args, kwargs)
        while again is not None and (call := again(executor, call)) is not None:
            result = execute_once(executor, *call[0], **call[1])
        return result

    def execute_once(executor: Any, *args: Any, **kwargs: Any) -> Any:
        prompt_id = str(args[1] if len(args) > 1 else kwargs.get("prompt_id"))
        prompt = args[0] if args else kwargs.get("prompt")
        try:
            if around is not None:
                around.before(executor, prompt_id, prompt)
            return original(executor, *args, **kwargs)
        except BaseException as error:  # noqa: BLE001 - SystemExit of a node must not end the worker thread either
            _fail(executor, prompt_id, error)
            _tell(executor)
            return None
        finally:
            if ran is not None:
                ran(executor, prompt)
            if around is not None:
                around.after(executor, prompt_id)

    executor_class.execute = execute


def _fail(executor: Any, prompt_id: str, error: BaseException) -> None:
    words = _words(error)
    log.warning(
        "A run ended outside its nodes: %s: %s",
        type(error).__name__,
        words,
        extra={"event": "execute.guarded", "job_id": prompt_id},
    )
    fields: dict[str, Any] = {
        "prompt_id": prompt_id,
        "node_id": None,
        "node_type": None,
        "executed": [],
        "exception_message": words or type(error).__name__,
        "exception_type": type(error).__name__,
        "traceback": traceback.format_tb(error.__traceback__),
        "current_inputs": {},
        "current_outputs": [],
        "timestamp": int(time.time() * 1000),
    }
    executor.success = False
    executor.history_result = {"outputs": {}, "meta": {}}
    messages = [message for message in getattr(executor, "status_messages", []) if message[0] != "execution_success"]
    executor.status_messages = [*messages, ("execution_error", fields)]


def _tell(executor: Any) -> None:
    try:
        client_id = getattr(executor.server, "client_id", None)
        if client_id is not None:
            executor.server.send_sync("execution_error", executor.status_messages[-1][1], client_id)
    except Exception:  # noqa: BLE001 - the run is judged by its messages; a socket must not end the worker thread after all
        log.warning("The end of a run could not be told", exc_info=True, extra={"event": "execute.untold"})


def _words(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # noqa: BLE001 - a node's own exception may fail even to say what it is
        return ""
