"""By which way results go home, as the setting says; a bucket's library is needed for a bucket alone; how often the secret is asked for."""

from __future__ import annotations

from concurrent.futures import Future
from pathlib import Path
from types import SimpleNamespace

import pytest

from expeditor.host.bucket import EXTRA, Bucket, BucketAway
from expeditor.jobs.errors import StoreUnavailable
from expeditor.runtime.homeward import SECRET_EVERY_S, SECRET_FAULT_S, Membership
from expeditor.runtime.services import Services, build
from expeditor.runtime.settings_source import SettingsError, load
from tests.support.clocks import HandMonotonic
from tests.support.fake_cluster import FakeCluster
from tests.support.project_file import project


def built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, results: str) -> Services:
    monkeypatch.setenv("EXPEDITOR_STORE", "redis://nobody.invalid")
    monkeypatch.setenv("EXPEDITOR_RESULTS", results)
    services = build(load(tmp_path), SimpleNamespace(sockets={}), tmp_path)
    assert services.cluster is not None
    services.cluster.connections.close()
    return services


@pytest.mark.parametrize(
    ("results", "bucket"), [("origin", None), ("shared", None), ("s3://made-here/by/us", "s3://made-here/by/us")]
)
def test_the_ways(tmp_path, monkeypatch, results, bucket) -> None:
    homeward = built(tmp_path, monkeypatch, results).files.homeward
    assert homeward is not None
    assert (homeward.bucket and homeward.bucket.address) == bucket
    assert (homeward.collector is not None) is (bucket is not None)


def test_a_bucket_that_cannot_be_used_is_a_fault_that_leaves_the_queue_ready(tmp_path, monkeypatch) -> None:
    services = built(tmp_path, monkeypatch, "s3://made-here")
    homeward = services.files.homeward
    assert homeward is not None
    assert homeward.bucket is not None
    before = services.health.not_ready()
    homeward.bucket.error = "s3://made-here cannot be written: the server says AccessDenied."
    assert services.files.fault() == homeward.bucket.error
    assert services.health.not_ready() == before


@pytest.mark.parametrize(
    "results",
    ["bucket", "s3://", "s3://A_b", "s3://key:secret@host/b", "s3://bucket//x", "s3://bucket/a?b", "gs://b"],
)
def test_a_place_that_is_none_is_refused(tmp_path, monkeypatch, results) -> None:
    monkeypatch.setenv("EXPEDITOR_RESULTS", results)
    with pytest.raises(SettingsError, match="must be origin, shared or s3://bucket/prefix"):
        load(tmp_path)


def test_the_sentence_names_what_the_extra_is() -> None:
    assert project()["project"]["optional-dependencies"]["s3"] == [EXTRA]


async def test_a_password_in_the_address_of_the_server_is_not_told(monkeypatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://me:hidden@127.0.0.1:9")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "an-id-of-tests")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "a-secret-of-tests")
    with pytest.raises(BucketAway) as told:
        await Bucket("s3://made-here").remove("x")
    assert str(told.value).startswith("s3://made-here cannot be changed: no answer from 127.0.0.1:9 (")
    assert told.value.__cause__ is None


class FakeSlowRegistry:
    """Counts who asks for the secret; answers when the test does."""

    def __init__(self) -> None:
        self.asked: list[Future[str]] = []

    def secret(self) -> Future[str]:
        self.asked.append(Future())
        return self.asked[-1]


def test_a_registry_that_is_silent_is_unavailable_and_not_asked_with_every_guess() -> None:
    registry, clock = FakeSlowRegistry(), HandMonotonic()
    members = Membership(registry, 0.01, clock)
    for _ in range(3):
        with pytest.raises(StoreUnavailable, match="did not answer in time"):
            members.secret_now(True)
    clock.now_s += SECRET_FAULT_S
    with pytest.raises(StoreUnavailable, match="did not answer in time"):
        members.secret_now(True)
    assert len(registry.asked) == 1  # the second look waits for the first one's answer
    registry.asked[0].set_result("told too late, and maybe another by now")
    clock.now_s += SECRET_FAULT_S
    with pytest.raises(StoreUnavailable):
        members.secret_now(True)
    assert len(registry.asked) == 2


def test_a_registry_that_is_away_is_not_asked_with_every_guess() -> None:
    cluster, clock = FakeCluster(lambda: 0.0), HandMonotonic()
    members = Membership(cluster.registry(), 1.0, clock)
    known = members.secret()
    cluster.away = True
    clock.now_s += SECRET_EVERY_S + 1
    with pytest.raises(StoreUnavailable):
        members.secret_now(True)
    cluster.away = False
    with pytest.raises(StoreUnavailable):
        members.secret_now(True)
    assert members.secret() == known
    clock.now_s += SECRET_FAULT_S
    assert members.secret_now(True) == known
