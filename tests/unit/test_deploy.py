"""deploy/: every name of a setting is one, every port, host and file that one part names is there in another.

There is neither Docker nor Kubernetes here: that the schedulers take the files is not seen by these tests.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import yaml

from expeditor.routes.table import RouteSets, route_table
from expeditor.runtime.settings import Settings
from expeditor.runtime.settings_source import SettingsError, load

ROOT = Path(__file__).resolve().parents[2]
COMPOSE = ROOT / "deploy/compose"
KUBERNETES = ROOT / "deploy/kubernetes"
GIVEN = {"COMFYUI_IMAGE": "mine/comfyui:1", "REDIS_PASSWORD": "geheim"}
VARIABLE = re.compile(r"\$\{(\w+)(?::([-?])([^}]*))?\}")


def compose() -> dict[str, Any]:
    """compose.yaml, its variables filled in as Compose does."""

    def value(found: re.Match[str]) -> str:
        name, kind, rest = found.groups()
        assert name in GIVEN or kind == "-", f"{name} has no default: tell it in the page"
        return GIVEN.get(name) or rest

    return yaml.safe_load(VARIABLE.sub(value, (COMPOSE / "compose.yaml").read_text(encoding="utf-8")))


def compose_instances() -> dict[str, dict[str, Any]]:
    """The services that are ComfyUIs."""
    return {name: one for name, one in compose()["services"].items() if one["image"] == GIVEN["COMFYUI_IMAGE"]}


def manifests() -> list[dict[str, Any]]:
    """All objects of deploy/kubernetes."""
    return [each for path in sorted(KUBERNETES.glob("*.yaml")) for each in yaml.safe_load_all(path.read_text()) if each]


def of_kind(kind: str, name: str) -> dict[str, Any]:
    (found,) = [each for each in manifests() if (each["kind"], each.get("metadata", {}).get("name")) == (kind, name)]
    return found


def container(name: str) -> dict[str, Any]:
    (one,) = of_kind("StatefulSet", name)["spec"]["template"]["spec"]["containers"]
    return one


def kubernetes_environment() -> dict[str, str]:
    """What the first pod's ComfyUI gets, with $(NAME) filled in as the kubelet does: from what stands before."""
    known: dict[str, str] = {}
    for each in container("gpu")["env"]:
        source = each.get("valueFrom", {})
        if "secretKeyRef" in source:
            known[each["name"]] = "geheim"
        elif "fieldRef" in source:
            known[each["name"]] = "gpu-0"
        else:
            known[each["name"]] = re.sub(r"\$\((\w+)\)", lambda found: known[found[1]], each["value"])
    return known


@pytest.fixture
def load_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[dict[str, str]], Settings]:
    """The settings that a server with this environment has; an unknown or wrong one is an error."""

    def load_them(environment: dict[str, str]) -> Settings:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        return load(tmp_path)

    return load_them


def test_instances_of_compose_have_settings_that_are_some(load_with: Callable[[dict[str, str]], Settings]) -> None:
    instances = compose_instances()
    assert len(instances) == 2
    for name, each in instances.items():
        settings = load_with(each["environment"])
        assert settings.store == "redis://:geheim@redis:6379/0"
        assert settings.instance == name
        assert settings.instance_url == f"http://{name}:{port_of(each['command'])}"


def test_a_pod_has_settings_that_are_some(load_with: Callable[[dict[str, str]], Settings]) -> None:
    settings = load_with(kubernetes_environment())
    assert settings.store == "redis://:geheim@redis:6379/0"
    assert settings.instance == "gpu-0"
    assert settings.instance_url == f"http://gpu-0.{of_kind('StatefulSet', 'gpu')['spec']['serviceName']}:8188"


def test_a_name_that_is_no_setting_is_found(load_with: Callable[[dict[str, str]], Settings]) -> None:
    with pytest.raises(SettingsError, match=r"instances_url.*Did you mean instance_url"):
        load_with({"EXPEDITOR_INSTANCES_URL": "http://gpu1:8188"})


def port_of(command: list[str]) -> str:
    return command[command.index("--port") + 1]


@pytest.mark.parametrize("command", [compose()["services"]["redis"]["command"], container("redis")["args"]])
def test_redis_keeps_what_it_answered_and_throws_nothing_out(command: list[str]) -> None:
    pairs = dict(itertools.pairwise(command))
    assert pairs["--appendonly"] == "yes"
    assert pairs["--maxmemory-policy"] == "noeviction"
    assert pairs["--requirepass"]


def test_front_and_prometheus_know_every_instance_of_compose() -> None:
    there = {f"{name}:{port_of(each['command'])}" for name, each in compose_instances().items()}
    front = (COMPOSE / "nginx.conf").read_text(encoding="utf-8")
    assert set(re.findall(r"^\s+server (\S+:\d+) ", front, re.MULTILINE)) == there
    scraped = yaml.safe_load((COMPOSE / "prometheus.yml").read_text(encoding="utf-8"))["scrape_configs"]
    assert {target for job in scraped for each in job["static_configs"] for target in each["targets"]} == there
    assert {job["metrics_path"] for job in scraped} <= our_routes()
    (published,) = compose()["services"]["front"]["ports"]
    assert published.split(":")[-1] in re.findall(r"^\s+listen (\d+);", front, re.MULTILINE)


def test_files_and_volumes_that_compose_mounts_are_there() -> None:
    whole = compose()
    named = {source for one in whole["services"].values() for source in sources_of(one)}
    assert {source for source in named if "/" not in source} == set(whole["volumes"])
    files = {source for source in named if source.startswith(".") and source != "./models"}
    assert files
    assert [source for source in files if not (COMPOSE / source).is_file()] == []


def sources_of(service: dict[str, Any]) -> Iterator[str]:
    for volume in service.get("volumes", ()):
        yield volume.split(":")[0]


def our_routes() -> set[str]:
    """The paths of GET routes that Expeditor has."""

    class AnyHandler:
        def __getattr__(self, name: str) -> Any:
            async def handler(request: Any) -> Any:
                raise AssertionError(name)

            return handler

    anything: Any = AnyHandler()
    table = route_table(RouteSets(**{part.name: anything for part in fields(RouteSets)}))
    return {route.path for route in table if route.method == "GET"}


def test_probes_ask_routes_that_are_there_and_a_store_that_is_away_restarts_nobody() -> None:
    pod = container("gpu")
    asked = {kind: pod[kind]["httpGet"]["path"] for kind in ("startupProbe", "livenessProbe", "readinessProbe")}
    assert asked["readinessProbe"] in our_routes()
    assert asked["livenessProbe"] == asked["startupProbe"] == "/system_stats"
    ports = {port["name"]: str(port["containerPort"]) for port in pod["ports"]}
    assert {pod[kind]["httpGet"]["port"] for kind in asked} <= set(ports)
    assert ports["http"] == port_of(pod["args"])
    told = of_kind("StatefulSet", "gpu")["spec"]["template"]["metadata"]["annotations"]
    assert told["prometheus.io/path"] in our_routes()


def test_services_find_their_pods_and_claims_are_made() -> None:
    pods = {each["metadata"]["name"]: each["spec"]["template"] for each in manifests() if each["kind"] == "StatefulSet"}
    for service in (each["spec"] for each in manifests() if each["kind"] == "Service"):
        (pod,) = [one for one in pods.values() if service["selector"].items() <= one["metadata"]["labels"].items()]
        ports = {port["name"]: port["containerPort"] for port in pod["spec"]["containers"][0]["ports"]}
        assert all(ports[port.get("targetPort", port["name"])] == port["port"] for port in service["ports"])
    claims = {volume["persistentVolumeClaim"]["claimName"] for volume in pods["gpu"]["spec"]["volumes"]}
    assert claims == {each["metadata"]["name"] for each in manifests() if each["kind"] == "PersistentVolumeClaim"}
    mounts = {mount["name"] for mount in container("gpu")["volumeMounts"]}
    templates = {each["metadata"]["name"] for each in of_kind("StatefulSet", "gpu")["spec"]["volumeClaimTemplates"]}
    assert mounts == {volume["name"] for volume in pods["gpu"]["spec"]["volumes"]} | templates


def test_the_kustomization_names_files_images_and_sets_that_are_there() -> None:
    whole = yaml.safe_load((KUBERNETES / "kustomization.yaml").read_text(encoding="utf-8"))
    assert [name for name in whole["resources"] if not (KUBERNETES / name).is_file()] == []
    assert [image["name"] for image in whole["images"]] == [container("gpu")["image"]]
    assert [each["name"] for each in whole["replicas"]] == ["gpu"]
    assert of_kind("Namespace", whole["namespace"])


def test_scaling_asks_for_a_metric_that_is_there_and_scales_what_is_there() -> None:
    wish = of_kind("ScaledObject", "gpu")["spec"]
    target = wish["scaleTargetRef"]
    assert of_kind(target["kind"], target["name"])["apiVersion"] == target["apiVersion"]
    (metric,) = re.findall(r"expeditor_\w+", wish["triggers"][0]["metadata"]["query"])
    # A test of the page holds it to the code.
    assert f"| `{metric}` | gauge |" in (ROOT / "docs/metrics.md").read_text(encoding="utf-8")
