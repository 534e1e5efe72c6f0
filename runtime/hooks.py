"""Puts the hooks into ComfyUI, each one switchable and each one noted on the board. Never raises.

Owns who may own the queue: if another pack replaced its class or its methods, ours stands down and ComfyUI goes on as if
Expeditor were not there (stock ``/prompt`` works; our submit says why it does not).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..host.board import OFF, ON
from ..host.guards import guard_execute, guard_send
from ..host.middleware import Edge, middleware
from ..host.observer import observe
from ..host.ownership import core_executor, foreign_owner, our_queue, swap_queue
from ..host.prompt_handler import prompt_handler
from ..routes.errors import render_core_error
from .services import Services
from .stopping import PlannedStop

MISFIT = "this ComfyUI does not have what the hook needs"


def install_hooks(services: Services) -> None:
    """At import of the pack: everything that must be in place before ComfyUI's worker thread starts."""
    settings, server, machine = services.settings, services.server, services.machine
    _hook(services, "queue", settings.hooks_queue, lambda: _own_queue(services))
    _hook(
        services,
        "prompt",
        settings.hooks_prompt,
        lambda: server.add_on_prompt_handler(prompt_handler(services.entrance.gate)),
    )
    _hook(
        services,
        "send",
        settings.hooks_send,
        lambda: guard_send(server, services.page.page.greet),
    )
    ran = services.residents.ran
    _hook(
        services,
        "execute",
        settings.hooks_execute,
        lambda: guard_execute(core_executor(), machine.rerun, ran, machine.parking),
    )
    _hook(
        services,
        "observer",
        settings.hooks_observer,
        lambda: observe(
            server, machine.runs, machine.wiring.told.endings, services.page.glimpses, services.page.page.outbound
        ),
    )


def install_middleware(services: Services) -> None:
    """In ``on_startup``: outermost, so that no other pack stands in front."""
    edge = Edge(
        gate=services.entrance.gate,
        render=render_core_error,
        requests=services.requests,
        awaiter=services.awaiter,
        repeats=services.entrance.repeats,
        interrupts=services.page.interrupts.reach,
    )
    app = services.server.app
    _hook(
        services, "middleware", services.settings.hooks_middleware, lambda: app.middlewares.insert(0, middleware(edge))
    )


def install_signals(services: Services) -> None:
    """In ``on_startup``, on the main thread: behind the handlers that others have put in by then."""
    leaving = services.leaving
    _hook(services, "signals", services.settings.hooks_signals, PlannedStop(leaving.mark, leaving.stay).install)


def check_ownership(services: Services) -> bool:
    """In ``on_startup``, when all packs are loaded: whether the queue is still ours. If not, stands down."""
    if not services.board.is_on("queue"):
        return False
    owner = foreign_owner(services.server.prompt_queue)
    if owner is None and our_queue(services.server) is not None:
        return True
    stand_down(services, owner or "another pack replaced ComfyUI's queue object")
    return False


def stand_down(services: Services, reason: str) -> None:
    """Give the queue back to ComfyUI, and say so once."""
    services.machine.wiring.stood_down = True
    queue = our_queue(services.server)
    if queue is not None:
        queue.stand_down()
    services.board.set("queue", reason)


def stand_up(services: Services) -> bool:
    """Take the queue back after ``stand_down``; not if somebody else owns it by now. Whether it is ours."""
    queue = our_queue(services.server)
    owner = foreign_owner(services.server.prompt_queue)
    if queue is None or owner is not None:
        services.board.set("queue", owner or "another pack replaced ComfyUI's queue object")
        return False
    queue.stand_up()
    services.board.set("queue", ON)
    return True


def _own_queue(services: Services) -> str | None:
    owner = foreign_owner(services.server.prompt_queue)
    if owner is not None:
        services.machine.wiring.stood_down = True
        return owner
    swap_queue(services.server.prompt_queue, services.machine.wiring)
    return None


def _hook(services: Services, name: str, wanted: bool, put_in: Callable[[], Any]) -> None:
    if not wanted:
        services.board.set(name, OFF)
        return
    try:
        reason = put_in()
    except Exception as error:  # noqa: BLE001 - a hook that does not fit this ComfyUI must not stop it
        services.board.set(name, f"{MISFIT}: {error}")
        return
    services.board.set(name, reason if isinstance(reason, str) else ON)
