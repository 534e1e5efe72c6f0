"""Questions of parked jobs as stores keep them: as they were, and as an earlier version wrote them."""

from __future__ import annotations

import json

from expeditor.jobs.waits import Ask, AskKind, JobWait, Parked
from expeditor.store.plain import parked_json, parked_of

WAIT = JobWait("t", "7", Ask(AskKind.PICK, "é \ud800", "x", 4, 1, 2), 1.5, 2.5, 9, "0,1", 3)


def test_what_is_kept_is_read_again():
    for parked in (Parked((WAIT,), 3.5, 4.5, "gpu1/x"), Parked()):
        assert parked_of(json.loads(json.dumps(parked_json(parked)))) == parked


def test_what_an_earlier_version_kept_is_read():
    since_s, waits, *_ = parked_json(Parked((WAIT,), 3.5, 4.5, "gpu1/x"))
    assert parked_of([since_s, waits]) == Parked((WAIT,), 3.5)
