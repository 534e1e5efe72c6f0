"""The settings of webhooks: what they come to, and that no message and no log line has a secret of theirs."""

from __future__ import annotations

import ipaddress

import pytest

from expeditor.events.webhooks.signing import new_secret
from expeditor.jobs.model import WebhookTarget
from expeditor.runtime.settings import Settings
from expeditor.runtime.settings_source import FILE_NAME, SettingsError, load
from expeditor.runtime.webhooks import rules_of, targets_of

SECRET = new_secret(b"s" * 32)
URL = "https://hooks.example.com/services/a-secret-part"
DIGEST = "2bd806c97f0e00af1a1fc3328fa763a9269723c8db8fac4f93af71db186d6e90"


def loaded(folder, text):
    (folder / FILE_NAME).write_text(text, encoding="utf-8")
    return load(folder)


def test_nothing_secret_is_shown_at_start(tmp_path):
    settings = loaded(
        tmp_path,
        f'webhook_url = "{URL}"\nwebhook_secret = "{SECRET}"\n'
        f'[tokens.shop]\nsha256 = "{DIGEST}"\nwebhook = "{URL}"\nwebhook_secret = "{SECRET}"',
    )
    for text in (str(settings.redacted()), repr(settings)):
        assert "a-secret-part" not in text
        assert SECRET[6:] not in text
    assert settings.redacted()["webhook_url"] == "**********"


@pytest.mark.parametrize(
    "text",
    [
        f'webhook_secret = "{SECRET}x"',
        f'webhook_secret = ["{SECRET}"]',
        f'webhook_url = "{URL}#a"',
        f'webhook_url = ["{URL}"]',
        f'[tokens.shop]\nsha256 = "{DIGEST}"\nwebhook = "ftp://{URL}"',
        f'[tokens.shop]\nsha256 = "{DIGEST}"\nwebhook_secret = "{SECRET[6:]}"',
        f'[tokens.shop]\nsha256 = "{DIGEST}"\nwebhook = "{URL}"\nwebhook_events = ["job.fialed"]',
    ],
)
def test_a_wrong_value_is_refused_without_its_secret(tmp_path, text):
    with pytest.raises(SettingsError) as fault:
        loaded(tmp_path, text)
    assert str(fault.value).startswith("Setting ")
    assert "a-secret-part" not in str(fault.value)
    assert SECRET[6:20] not in str(fault.value)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ('webhook_events = ["job.fialed"]', "webhook_events"),
        ('webhook_allow_networks = ["inner"]', "webhook_allow_networks"),
        ("webhook_ports = [0]", "webhook_ports"),
        ("webhook_retry_delays_s = [0]", "webhook_retry_delays_s"),
        ('public_url = "comfy.example.com"', "public_url"),
        ('public_url = "https://a/?b"', "public_url"),
    ],
)
def test_a_value_that_means_nothing_is_refused_by_name(tmp_path, text, name):
    with pytest.raises(SettingsError, match=f"Setting {name}"):
        loaded(tmp_path, text)


def test_what_the_settings_come_to():
    settings = Settings(
        webhook_url=URL,
        webhook_events=["job.failed"],
        webhook_allow_networks=["10.0.0.1/8"],
        webhook_per_job=False,
        tokens={"shop": {"sha256": DIGEST, "webhook": "https://shop.example.com/", "webhook_secret": SECRET}},
        public_url="https://comfy.example.com/x/",
    )
    targets, rules = targets_of(settings), rules_of(settings)
    assert targets.server == WebhookTarget(URL, ("job.failed",))
    assert targets.tokens == {"shop": WebhookTarget("https://shop.example.com/")}
    assert (targets.signers, targets.per_job, rules.per_job) == ({"shop"}, False, False)
    assert rules.networks == (ipaddress.ip_network("10.0.0.0/8"),)
    assert settings.public_url == "https://comfy.example.com/x"


def test_webhooks_that_are_off_tell_nobody():
    settings = Settings(webhooks=False, webhook_url=URL)
    targets = targets_of(settings)
    assert (targets.server, dict(targets.tokens), targets.per_job, rules_of(settings).per_job) == (
        None,
        {},
        False,
        False,
    )
