"""What a verb comes to: its value, and the events to tell once it is committed. Owns these two types alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from ..jobs.events import JobEvent

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Done(Generic[T]):
    """What a verb came to: its ``value`` for the caller and the ``events`` to tell once it is committed."""

    value: T
    events: tuple[JobEvent, ...] = ()


Verb = Callable[[], Done[Any]]
"""A verb with its arguments bound, to be run by the store's thread."""
