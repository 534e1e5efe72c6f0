"""Tokens: which header names whom, and what is refused."""

from __future__ import annotations

import hashlib

import pytest

from expeditor.intake.ceilings import Ceilings, Wish
from expeditor.intake.tokens import LONGEST_TOKEN, Token, Tokens
from expeditor.jobs.errors import Forbidden, Unauthenticated
from expeditor.jobs.model import Principal


def sha256(secret):
    return hashlib.sha256(secret.encode()).hexdigest()


SHOP = Token("shop", sha256("shop-secret-of-32-characters"), priority=6)
OPS = Token("ops", sha256("ops-secret"), admin=True)
TOKENS = Tokens([SHOP, OPS])


@pytest.mark.parametrize("header", ["Bearer shop-secret-of-32-characters", "bearer  shop-secret-of-32-characters "])
def test_the_right_token_names_its_principal(header):
    assert TOKENS.check(header) is SHOP
    assert TOKENS.name_of(header) == "shop"


@pytest.mark.parametrize(
    "header",
    [
        "Bearer wrong",
        "Bearer ",
        "Bearer",
        f"Bearer {SHOP.sha256}",
        "Bearer \udc80",
        "Bearer " + "x" * LONGEST_TOKEN * 2,
    ],
)
def test_a_wrong_token_is_refused_and_not_repeated(header):
    with pytest.raises(Unauthenticated) as refused:
        TOKENS.check(header)
    assert header.removeprefix("Bearer").strip() not in refused.value.message or header.strip() == "Bearer"
    assert TOKENS.name_of(header) is None


@pytest.mark.parametrize("header", [None, "", "Basic Zm9vOmJhcg==", "Bearershop-secret"])
def test_what_shows_no_token_passes_unless_one_is_required(header):
    assert TOKENS.check(header) is None
    with pytest.raises(Unauthenticated):
        Tokens([SHOP], required=True).check(header)


def test_a_server_without_tokens_ignores_the_header():
    assert Tokens().check("Bearer anything") is None
    assert Tokens().name_of("Bearer anything") is None


def test_only_an_admin_sees_the_list():
    assert TOKENS.listed("Bearer ops-secret") == (SHOP, OPS)
    with pytest.raises(Forbidden):
        TOKENS.listed("Bearer shop-secret-of-32-characters")
    with pytest.raises(Unauthenticated):
        TOKENS.listed(None)


def test_a_default_priority_is_only_for_a_name_that_somebody_vouches_for():
    ceilings = Ceilings(defaults={"shop": 6})
    assert ceilings.default_of(Principal("shop", trusted=True)) == 6
    assert ceilings.default_of(Principal("shop")) == 3
    assert Ceilings(4, defaults={"shop": 6}).check(Principal("shop", trusted=True), Wish(6, given=False)) == 4
