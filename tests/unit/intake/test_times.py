"""`not_before`, `expires_in_s` and `max_attempts`: what is taken, and where the fault points."""

from __future__ import annotations

import pytest

from expeditor.intake.submission import check_times, parse_submission
from expeditor.intake.times import ATTEMPTS_MAX, EXPIRES_MAX_S, parse_times
from expeditor.jobs.errors import InputInvalid


@pytest.mark.parametrize(
    ("text", "at_s"),
    [
        ("2030-01-31T18:00:00Z", 1_896_112_800.0),
        ("2030-01-31t18:00:00z", 1_896_112_800.0),
        ("2030-01-31T19:30:00+01:30", 1_896_112_800.0),
        ("2030-01-31 18:00:00.25Z", 1_896_112_800.25),
        ("2030-01-31T18:00:00.123456789-00:00", 1_896_112_800.123456789),
        (1_896_112_800, 1_896_112_800.0),
        (0, 0.0),
        (0.5, 0.5),
    ],
)
def test_a_time_may_be_text_with_its_zone_or_seconds(text, at_s):
    times = parse_times({"not_before": text})
    assert (times.not_before_s, times.faults) == (at_s, ())


@pytest.mark.parametrize(
    "value",
    [
        *("", "tomorrow", "2030-01-31", "2030-01-31T18:00:00", "2030-13-31T18:00:00Z", "2030-02-30T18:00:00Z"),
        *("2030-01-31T25:00:00Z", "2030-01-31T18:00:00+1", "٢030-01-31T18:00:00Z", "x" * 5_000),
        *(-1, True, [], {}, 1_896_112_800_000, 10**400, float("inf"), "0000-01-01T00:00:00Z", "1969-12-31T23:59:59Z"),
    ],
)
def test_what_is_no_time_is_refused(value):
    (fault,) = parse_times({"not_before": value}).faults
    assert (fault.pointer, fault.code) == ("/not_before", "INPUT_INVALID")
    assert len(fault.message) < 300
    assert "2030-01-31T18:00:00Z" in (fault.hint or "")


@pytest.mark.parametrize("value", [0.001, 1, 3600, EXPIRES_MAX_S])
def test_a_life_is_taken(value):
    assert parse_times({"expires_in_s": value}).expires_in_s == value


@pytest.mark.parametrize("value", [0, -1, EXPIRES_MAX_S + 1, "60", True, float("nan"), [60], 10**400])
def test_what_is_no_life_is_refused(value):
    assert [fault.pointer for fault in parse_times({"expires_in_s": value}).faults] == ["/expires_in_s"]


@pytest.mark.parametrize("value", [0, ATTEMPTS_MAX + 1, "3", 1.0, True, [1]])
def test_what_is_no_number_of_attempts_is_refused(value):
    assert [fault.pointer for fault in parse_times({"max_attempts": value}).faults] == ["/max_attempts"]


def test_null_is_absent_and_all_faults_come_at_once():
    assert parse_times({"not_before": None, "expires_in_s": None, "max_attempts": None}) == parse_times({})
    body = {"prompt": {}, "not_before": "x", "expires_in_s": 0, "max_attempts": 99, "priority": 0}
    with pytest.raises(InputInvalid) as refused:
        parse_submission(body)
    assert {fault.pointer for fault in refused.value.faults} == {
        *("/not_before", "/expires_in_s", "/max_attempts", "/priority"),
    }


def test_a_job_that_would_expire_before_it_may_start_is_refused():
    request = parse_submission({"prompt": {}, "not_before": 1_000, "expires_in_s": 100})
    check_times(request, now_s=901.0)
    with pytest.raises(InputInvalid) as refused:
        check_times(request, now_s=900.0)
    assert [fault.pointer for fault in refused.value.faults] == ["/expires_in_s"]
