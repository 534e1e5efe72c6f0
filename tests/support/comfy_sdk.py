"""The official Python SDK's source distribution: the contract's OpenAPI file and the SDK's own live test, from the package index.

Owns the download, which is kept in the user's cache folder, and nothing of what is in it. The version is the one that is installed.
"""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
import tarfile
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator

from expeditor.devtools.cache import Cache

NAME = "comfy-sdk"


@cache
def sdist() -> Path:
    """The unpacked source distribution."""
    version = importlib.metadata.version(NAME)
    folder = Cache.of_user().root / "downloads"
    unpacked = folder / f"{NAME.replace('-', '_')}-{version}"
    if not unpacked.exists():
        archive = folder / f"{unpacked.name}.tar.gz"
        if not archive.exists():
            options = ["--no-deps", f"--no-binary={NAME}", "--dest", str(folder)]
            command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", *options]
            subprocess.run([*command, f"{NAME}=={version}"], check=True, capture_output=True, text=True)
        with tempfile.TemporaryDirectory(dir=folder) as aside, tarfile.open(archive) as packed:
            packed.extractall(aside, filter="data")
            (Path(aside) / unpacked.name).rename(unpacked)  # whole or not at all
    return unpacked


class Contract:
    """The contract's OpenAPI file as a judge of answers."""

    def __init__(self, spec: dict[str, Any]) -> None:
        """``spec`` is OpenAPI 3.0, whose ``nullable`` JSON Schema does not know."""
        self._paths = spec["paths"]
        self._components = _plain(spec["components"])

    @classmethod
    def of_sdk(cls) -> Contract:
        """The one in the SDK's source distribution."""
        return cls(yaml.safe_load((sdist() / "spec/openapi.yaml").read_text(encoding="utf-8")))

    def faults(self, method: str, path: str, status: int, body: Any) -> list[str]:
        """What is wrong with an answer; ``path`` as the file has it, with ``{id}``."""
        answers = self._paths[path][method.lower()]["responses"]
        if str(status) not in answers:
            return [f"{method} {path} does not answer {status}, only {', '.join(answers)}"]
        answer = answers[str(status)]
        if "$ref" in answer:
            answer = self._components["responses"][answer["$ref"].rpartition("/")[2]]
        return self._misfits(_plain(answer)["content"]["application/json"]["schema"], body)

    def event_faults(self, name: str, body: Any) -> list[str]:
        """What is wrong with a frame of a job's event stream."""
        events = self._paths["/api/v2/jobs/{id}/events"]["get"]["x-sse-events"]
        if name not in events:
            return [f"there are no events called {name}"]
        return self._misfits({"$ref": events[name]["schema"]}, body)

    def _misfits(self, schema: dict[str, Any], body: Any) -> list[str]:
        whole = {**schema, "components": self._components}
        judge = Draft202012Validator(whole, format_checker=Draft202012Validator.FORMAT_CHECKER)
        return [f"{error.json_path}: {error.message}" for error in judge.iter_errors(body)]


def _plain(schema: Any) -> Any:
    """The same with ``nullable`` spelt out."""
    if isinstance(schema, list):
        return [_plain(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    plain = {key: _plain(value) for key, value in schema.items() if key != "nullable"}
    return {"anyOf": [plain, {"type": "null"}]} if schema.get("nullable") is True else plain
