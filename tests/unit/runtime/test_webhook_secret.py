"""The secret that is made at the first start: whole, for this user's eyes only, and kept."""

from __future__ import annotations

import os
import stat

import pytest

from expeditor.events.webhooks.signing import BadSecret, Signer, new_secret
from expeditor.runtime.webhook_secret import FILE_NAME, kept_secrets


def test_it_is_made_once_and_for_this_user_alone(tmp_path):
    before = os.umask(0)
    try:
        (made,) = kept_secrets(tmp_path)
    finally:
        os.umask(before)
    file = tmp_path / FILE_NAME
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert kept_secrets(tmp_path) == (made,)
    assert [each.name for each in tmp_path.iterdir()] == [FILE_NAME]
    Signer([made])
    other = tmp_path / "other"
    other.mkdir()
    assert kept_secrets(other) != (made,)


def test_two_in_the_file_sign_both(tmp_path):
    (made,) = kept_secrets(tmp_path)
    (tmp_path / FILE_NAME).write_text(f"{made}\n{new_secret(b'x' * 32)}\n", encoding="utf-8")
    assert len(kept_secrets(tmp_path)) == 2


def test_what_is_no_secret_is_told_without_it(tmp_path):
    (tmp_path / FILE_NAME).write_text("my-own-password", encoding="utf-8")
    with pytest.raises(BadSecret) as fault:
        kept_secrets(tmp_path)
    assert "my-own-password" not in str(fault.value)
