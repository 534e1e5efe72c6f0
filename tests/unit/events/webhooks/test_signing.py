"""Signatures, judged by the official library of Standard Webhooks."""

from __future__ import annotations

import base64
import time
from datetime import datetime, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from expeditor.events.webhooks.signing import BadSecret, Signer, Signers, new_secret, secrets_of

OLD, NEW = new_secret(b"o" * 32), new_secret(b"n" * 32)
BODY = '{"type":"job.succeeded","data":{"ä":1}}'.encode()


def signed(*secrets, at_s=None):
    return Signer(secrets).headers("msg_1", time.time() if at_s is None else at_s, BODY)


def test_the_official_library_takes_it():
    assert Webhook(NEW).verify(BODY, signed(NEW)) == {"type": "job.succeeded", "data": {"ä": 1}}


@given(st.binary(min_size=24, max_size=64))
def test_every_key_of_the_allowed_lengths_signs_as_the_library_does(key):
    headers = Signer([new_secret(key)]).headers("msg_1", 1_700_000_000.9, BODY)
    theirs = Webhook(new_secret(key)).sign("msg_1", datetime.fromtimestamp(1_700_000_000, timezone.utc), BODY.decode())
    assert headers["webhook-signature"] == theirs
    assert headers["webhook-timestamp"] == "1700000000"


def test_two_secrets_sign_both_so_that_one_can_be_replaced():
    headers = signed(NEW, OLD)
    for secret in (NEW, OLD):
        Webhook(secret).verify(BODY, headers)


@pytest.mark.parametrize("change", ["body", "id", "time", "secret"])
def test_what_was_changed_is_found(change):
    headers, body, secret = signed(NEW), BODY, NEW
    if change == "body":
        body = BODY + b" "
    elif change == "id":
        headers["webhook-id"] = "msg_2"
    elif change == "time":
        headers["webhook-timestamp"] = str(int(headers["webhook-timestamp"]) + 1)
    else:
        secret = OLD
    with pytest.raises(WebhookVerificationError):
        Webhook(secret).verify(body, headers)


@pytest.mark.parametrize(
    "text", ["", "  ", "secret", "whsec_", "whsec_%%%", new_secret(b"x" * 23), new_secret(b"x" * 65), f"{NEW} nonsense"]
)
def test_what_is_no_secret_is_refused_and_not_repeated(text):
    with pytest.raises(BadSecret) as fault:
        secrets_of(text)
    assert text.split()[-1:] == [] or base64.b64encode(b"x" * 8).decode()[:8] not in str(fault.value)
    with pytest.raises(BadSecret):
        Signer(text.split())


def test_a_token_signs_with_its_own_secret_and_all_others_with_the_servers():
    signers = Signers(Signer([OLD]), {"shop": Signer([NEW])})
    Webhook(NEW).verify(BODY, signers.of("shop").headers("msg_1", time.time(), BODY))
    Webhook(OLD).verify(BODY, signers.of("").headers("msg_1", time.time(), BODY))
    Webhook(OLD).verify(BODY, signers.of("ops").headers("msg_1", time.time(), BODY))
