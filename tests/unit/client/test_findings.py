"""The doctor's opinions: for each fault of a server the finding that names it, and none for a server that is well."""

from __future__ import annotations

import pytest

from expeditor.client import findings
from expeditor.client.findings import State

WELL = {
    "status": "ok",
    "version": "0.1.0",
    "uptime_s": 60,
    "worker_alive": True,
    "loop_lag_s": 0.001,
    "hooks": {"queue": "on", "prompt": "on"},
    "store": {"kind": "sqlite", "open": True, "error": None, "notice": None, "pending_writes": 0, "free_bytes": 10**11},
}
QUEUE = {"waiting": 3, "running": 1, "held": 0, "delayed": 0, "oldest_wait_s": 5.0, "paused": False, "draining": False}


def worst(found):
    """The checks that are not well, with their state."""
    return {finding.check: finding.state for finding in found if finding.state is not State.OK}


def test_a_server_that_is_well_has_no_findings_but_good_ones():
    assert worst(findings.of_health(WELL)) == {}
    assert worst(findings.of_queue(QUEUE)) == {}


@pytest.mark.parametrize(
    ("change", "check", "state"),
    [
        ({"status": "degraded", "fault": "store: full"}, "expeditor", State.BAD),
        ({"worker_alive": False}, "worker", State.BAD),
        ({"loop_lag_s": 1.5}, "event loop", State.WARNING),
        ({"hooks": {"queue": "another pack"}}, "hooks", State.WARNING),
        ({"store": {**WELL["store"], "error": "disk full"}}, "store", State.BAD),
        ({"store": {**WELL["store"], "open": False}}, "store", State.BAD),
        ({"store": {**WELL["store"], "notice": "set aside"}}, "store", State.WARNING),
        ({"store": {**WELL["store"], "free_bytes": 10**6}}, "disk", State.WARNING),
        ({"webhooks": {"open": False, "error": "locked", "notice": None}}, "webhooks", State.WARNING),
        ({"assets": {"open": True, "error": None, "notice": "set aside"}}, "assets", State.WARNING),
    ],
)
def test_each_fault_of_health_is_found_and_says_what_to_mend(change, check, state):
    found = list(findings.of_health({**WELL, **change}))
    assert worst(found) == {check: state}
    assert all(finding.remedy for finding in found if finding.state is not State.OK)


def test_a_notice_names_the_page_of_its_store():
    found = [
        f.remedy for f in findings.of_health({**WELL, "store": {**WELL["store"], "kind": "bullmq", "notice": "x"}})
    ]
    assert "docs/cluster_failures.md." in found


@pytest.mark.parametrize(
    ("states", "state"),
    [
        (("active",), None),
        (("paused",), None),
        (("active", "active"), State.OK),
        (("active", "gone"), State.WARNING),
        (("paused", "gone"), State.BAD),
    ],
)
def test_instances_that_start_nothing_are_named(states, state):
    found = list(findings.of_workers([{"name": f"gpu{n}", "state": state} for n, state in enumerate(states)]))
    assert [each.state for each in found] == ([] if state is None else [state])
    if found and "gone" in states:
        assert "gpu1 is gone" in found[0].message


@pytest.mark.parametrize(
    ("at_root", "beside", "told"),
    [(True, True, "=http://there"), (False, True, "=http://there/expeditor"), (False, False, "not answer")],
)
def test_where_the_sdks_find_their_api(at_root, beside, told):
    found = findings.of_contract("http://there", at_root, beside)
    assert found.message.endswith(told)
    assert (found.state is State.OK) == (at_root or beside)


@pytest.mark.parametrize(
    ("change", "state"),
    [
        ({"running": 0}, State.BAD),
        ({"running": 0, "held": 2, "delayed": 1}, None),
        ({"running": 0, "paused": True}, State.WARNING),
        ({"draining": True}, State.WARNING),
        ({"oldest_wait_s": 7200.0}, State.WARNING),
        ({"waiting": 0, "running": 0, "oldest_wait_s": None}, None),
    ],
)
def test_a_queue_that_does_not_move_is_found(change, state):
    assert worst(findings.of_queue({**QUEUE, **change})) == ({} if state is None else {"queue": state})


@pytest.mark.parametrize(
    ("server_s", "state"), [(99.5, None), (92.0, State.WARNING), (110.0, State.WARNING), (None, State.WARNING)]
)
def test_clocks_that_differ_are_found(server_s, state):
    assert worst([findings.of_clock(server_s, 100.0)]) == ({} if state is None else {"clock": state})


def test_a_slow_answer_little_memory_and_a_page_without_the_script_are_found():
    assert worst([findings.of_reach("http://x", 3.0)]) == {"reachable": State.WARNING}
    gib = 1024**3
    system = {"system": {"ram_free": gib, "ram_total": 64 * gib}, "devices": [{"name": "cuda:0", "type": "cuda"}]}
    assert worst(findings.of_system(system)) == {"memory": State.WARNING}
    assert worst([findings.of_page(["/extensions/other/a.js"])]) == {"page": State.WARNING}
    assert worst([findings.of_page(["/extensions/expeditor/js/index.js"])]) == {}
    assert worst([findings.of_ready(False, {"reason": "draining"})]) == {"ready": State.BAD}
