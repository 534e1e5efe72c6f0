"""Who may use which priority: own routes refuse, stock routes lower, claimed names gain nothing."""

from __future__ import annotations

import pytest

from expeditor.intake.ceilings import Ceilings, Wish
from expeditor.jobs.errors import PriorityNotAllowed
from expeditor.jobs.model import Principal

CEILINGS = Ceilings(6, {"boss": 10, "junior": 2})
ADA, JUNIOR, CLAIMED_BOSS = Principal("ada"), Principal("junior"), Principal("boss")
BOSS = Principal("boss", trusted=True)


@pytest.mark.parametrize(("principal", "ceiling"), [(ADA, 6), (JUNIOR, 2), (BOSS, 10), (CLAIMED_BOSS, 6)])
def test_a_name_that_is_only_claimed_can_lower_its_ceiling_but_not_raise_it(principal, ceiling):
    assert CEILINGS.of(principal) == ceiling


def test_up_to_the_ceiling_all_is_allowed():
    assert [CEILINGS.check(ADA, Wish(priority)) for priority in (1, 6)] == [1, 6]
    assert CEILINGS.check(BOSS, Wish(10, front=True)) == 10
    assert Ceilings().check(ADA, Wish(10, front=True)) == 10


def test_above_it_the_refusal_names_the_ceiling_and_the_field():
    with pytest.raises(PriorityNotAllowed) as refused:
        CEILINGS.check(JUNIOR, Wish(3))
    error = refused.value
    assert (error.details, error.faults[0].pointer) == ({"ceiling": 2}, "/priority")
    assert "Priority 3" in error.message
    assert "than 2 (10 is most urgent)" in error.message


def test_the_front_is_for_those_who_may_use_10():
    with pytest.raises(PriorityNotAllowed) as refused:
        CEILINGS.check(ADA, Wish(1, front=True))
    assert refused.value.faults[0].pointer == "/front"


def test_a_default_is_lowered_and_never_refused():
    assert CEILINGS.check(JUNIOR, Wish(3, given=False)) == 2


def test_stock_prompts_are_lowered():
    assert CEILINGS.lowered(ADA, Wish(10, front=True)) == Wish(6, front=False)
    assert CEILINGS.lowered(BOSS, Wish(10, front=True)) == Wish(10, front=True)
    assert CEILINGS.lowered(ADA, Wish(4)) == Wish(4)


def test_a_job_is_not_lifted_above_its_owners_ceiling_by_somebody_unknown():
    CEILINGS.check_move(BOSS, JUNIOR, Wish(9))
    CEILINGS.check_move(ADA, JUNIOR, Wish(2))
    for caller, owner, priority in ((ADA, JUNIOR, 3), (JUNIOR, ADA, 3), (CLAIMED_BOSS, BOSS, 7)):
        with pytest.raises(PriorityNotAllowed):
            CEILINGS.check_move(caller, owner, Wish(priority))
