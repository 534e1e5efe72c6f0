"""The part of ``services`` that parks prompts which wait for people. No I/O, no threads."""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass
from pathlib import Path

from ..events.mailbox import Mailbox
from ..events.parked_waits import ParkedWaits
from ..events.wait_pictures import WaitPictures
from ..host.parking import Parking, ParkingRules
from ..jobs.events import Publisher
from ..store.base import Clock
from .settings import Settings
from .storage import WAITS


@dataclass(frozen=True, slots=True)
class Parked:
    """``mailbox`` has the questions, ``parking`` stops runs and keeps what they have made, ``waits`` takes the answers,
    ``pictures`` has the files of what is asked about."""

    mailbox: Mailbox
    parking: Parking
    waits: ParkedWaits
    pictures: WaitPictures

    def known(self) -> frozenset[str]:
        """The jobs that are parked, as far as is known here."""
        return self.mailbox.parked_jobs() | frozenset(self.parking.kept())

    @property
    def ears(self) -> tuple[Publisher, ...]:
        """Who hears of committed events."""
        return (self.parking, self.waits)


def build_parked(settings: Settings, clock: Clock, data_dir: Path, here: str | None) -> Parked:
    """Make it. ``here``: this instance's name where several share the queue."""
    pictures = WaitPictures(data_dir / WAITS)
    mailbox = Mailbox(clock, lambda: uuid.uuid4().hex, pictures)
    off = None if settings.parking else ""
    rules = ParkingRules(settings.park_after_s, settings.park_cache_bytes, off)
    waits = ParkedWaits(mailbox, settings.store_deadline_s, here)
    return Parked(mailbox, Parking(waits, rules, time.monotonic, here), waits, pictures)
