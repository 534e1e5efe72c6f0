"""runtime/identity.py: an instance's name, life and address, given or made up."""

from __future__ import annotations

import logging
from types import SimpleNamespace

import pytest

from expeditor.host.comfy import Listening
from expeditor.host.wiring import QueueWiring
from expeditor.jobs.instances import instance_of, is_name
from expeditor.runtime.identity import identity_of, own_address, url_of
from expeditor.runtime.services import build
from expeditor.runtime.settings_source import load

HERE = Listening("127.0.0.1", 8190, tls=False)


@pytest.fixture
def settings(tmp_path, monkeypatch):
    """Settings of these names."""

    def made(**given: str):
        for name, value in given.items():
            monkeypatch.setenv(f"EXPEDITOR_{name.upper()}", value)
        return load(tmp_path)

    return made


def test_alone_a_life_names_no_instance_and_jobs_have_no_origin(settings) -> None:
    identity = identity_of(settings(instance="studio-1"), HERE)

    assert (identity.name, identity.shared, identity.origin_of_new_jobs) == ("studio-1", False, None)
    assert instance_of(identity.boot_id) is None


def test_on_a_shared_queue_each_life_names_its_instance(settings, caplog) -> None:
    asked = settings(store="redis://127.0.0.1:6379", instance="studio-1", instance_url="https://gpu.lan/one/")
    with caplog.at_level(logging.INFO, "expeditor.runtime"):
        first, second = identity_of(asked, HERE), identity_of(asked, HERE)

    assert first.boot_id != second.boot_id
    assert instance_of(first.boot_id) == instance_of(second.boot_id) == first.origin_of_new_jobs == "studio-1"
    assert first.url == "https://gpu.lan/one"
    assert "studio-1" in caplog.text
    assert "https://gpu.lan/one" in caplog.text


def test_without_a_name_two_servers_of_a_host_have_two(settings) -> None:
    asked = settings()
    names = {identity_of(asked, Listening("127.0.0.1", port, tls=False)).name for port in (8188, 8189)}

    assert len(names) == 2
    assert all(is_name(name) for name in names)


@pytest.mark.parametrize(
    ("listening", "url"),
    [
        (HERE, "http://127.0.0.1:8190"),
        (Listening("10.1.2.3", 443, tls=True), "https://10.1.2.3:443"),
        (Listening("fd00::7", 8188, tls=False), "http://[fd00::7]:8188"),
        (Listening("0.0.0.0", 8188, tls=False), f"http://{own_address()}:8188"),
        (Listening("::", 8188, tls=False), f"http://{own_address()}:8188"),
    ],
)
def test_the_address_is_the_one_it_listens_on_or_the_hosts(listening, url) -> None:
    assert url_of(listening) == url
    assert "0.0.0.0" not in url


def test_new_jobs_have_the_origin_that_the_queue_was_given() -> None:
    wiring = QueueWiring(line=None, depth=None, dispatch=None, clock=lambda: 7.0, told=None, origin="studio-1")
    job = wiring.new_job((1, "id", {"1": {"class_type": "A"}}, {}, ["1"], {}), None)

    assert (job.origin, job.created_at_s) == ("studio-1", 7.0)


def test_services_give_the_queue_no_origin_on_a_store_of_one_process(settings, tmp_path) -> None:
    services = build(settings(instance="studio-1"), SimpleNamespace(sockets={}), tmp_path)

    assert services.identity.name == "studio-1"
    assert services.machine.wiring.origin is None
