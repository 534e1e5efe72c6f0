"""Webhooks tell why nothing is sent; `tests/host/test_webhooks.py` has them at work."""

from __future__ import annotations

import pytest

from expeditor.events.webhooks.filling import WebhookEars
from expeditor.jobs.awaiting import Awaiter
from expeditor.runtime.settings import Settings
from expeditor.runtime.webhooks import WebhookParts, Webhooks, targets_of
from expeditor.telemetry.metrics import Metrics
from tests.conformance.harness import MemoryStorage


@pytest.fixture
def webhooks(tmp_path):
    settings, storage = Settings(), MemoryStorage()
    ears, metrics = WebhookEars(targets_of(settings)), Metrics(clock=storage.clock)
    made = Webhooks(WebhookParts(settings, tmp_path, storage.start(), ears, metrics, storage.clock, Awaiter(5.0)))
    yield made
    made._outbox.close()
    storage.stop()


async def test_a_secret_that_cannot_be_read_is_told(webhooks, tmp_path):
    (tmp_path / "webhook_secret").mkdir()
    assert webhooks.state().error is None
    await webhooks.run()
    assert webhooks.state().open
    assert webhooks.state().error.startswith("No webhooks are sent: the secret that signs them cannot be had")
