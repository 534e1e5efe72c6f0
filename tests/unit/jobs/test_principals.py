"""Who a job belongs to, from the facts of its request."""

from __future__ import annotations

import pytest

from expeditor.jobs.model import Principal
from expeditor.jobs.principals import ANONYMOUS, MAX_NAME_LENGTH, PrincipalRules, principal_of

PROXIED = PrincipalRules(user_header="X-User", proxies=("10.0.0.0/8", "192.168.1.7", "fd00::/8"))


@pytest.mark.parametrize("remote", ["10.1.2.3", "192.168.1.7", "fd00::1", "::ffff:10.1.2.3"])
def test_a_trusted_proxy_names_the_user(remote):
    assert principal_of(PROXIED, remote, "grace", "ada") == Principal("grace", trusted=True)


@pytest.mark.parametrize("remote", ["11.0.0.1", "192.168.1.8", "fe80::1", None, "", "not an address"])
def test_nobody_else_does(remote):
    assert principal_of(PROXIED, remote, "grace", "ada") == Principal("ada", trusted=False)


@pytest.mark.parametrize("user", [None, ""])
def test_a_proxy_that_names_nobody_leaves_the_client_id(user):
    assert principal_of(PROXIED, "10.0.0.1", user, "ada") == Principal("ada")


def test_without_the_setting_the_header_is_nothing():
    rules = PrincipalRules(proxies=("10.0.0.1",))
    assert principal_of(rules, "10.0.0.1", "grace", "ada") == Principal("ada")


@pytest.mark.parametrize("client_id", [None, "", 5, [], {"a": 1}])
def test_without_a_client_id_it_is_anonymous(client_id):
    assert principal_of(PrincipalRules(), None, None, client_id) == ANONYMOUS


def test_client_ids_can_be_switched_off():
    assert principal_of(PrincipalRules(from_client_id=False), None, None, "ada") == ANONYMOUS


def test_names_are_cut():
    rules = PrincipalRules(user_header="X-User", proxies=("::1",))
    assert len(principal_of(rules, "::1", "x" * 9_000, None).name) == MAX_NAME_LENGTH
    assert len(principal_of(rules, None, None, "x" * 9_000).name) == MAX_NAME_LENGTH


def test_a_proxy_that_is_no_address_trusts_nobody():
    rules = PrincipalRules(user_header="X-User", proxies=("proxy.example",))
    assert principal_of(rules, "10.0.0.1", "grace", None) == ANONYMOUS


def test_a_token_wins_over_everything():
    assert principal_of(PROXIED, "10.0.0.1", "grace", "ada", "shop") == Principal("shop", trusted=True)
