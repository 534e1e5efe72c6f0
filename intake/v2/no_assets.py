"""The resolver of a server that keeps no assets: every reference leads nowhere."""

from __future__ import annotations

from typing import Any, cast

from ...jobs.errors import MissingAsset
from ...jobs.model import JsonObject, Principal

TYPE_KEY = "__type"
ASSET_TYPE = "core/ASSET"


class NoAssets:
    """Fits ``intake.v2.ports.AssetResolver``."""

    async def resolve(self, workflow: JsonObject, principal: Principal) -> tuple[JsonObject, tuple[str, ...]]:  # noqa: ARG002
        """The workflow as it is. Raises ``MissingAsset`` when it has a reference."""
        if _refers(workflow):
            raise MissingAsset("The workflow refers to an asset, and this server keeps none.")
        return workflow, ()

    async def hold(self, job_id: str, asset_ids: tuple[str, ...]) -> None:
        """Nothing is held."""


def _refers(workflow: JsonObject) -> bool:
    """Whether a reference stands anywhere in the workflow; a loop, since a client chooses how deep it nests."""
    rest: list[Any] = [workflow]
    while rest:
        value = rest.pop()
        if isinstance(value, dict):
            held = cast("JsonObject", value)
            if held.get(TYPE_KEY) == ASSET_TYPE:
                return True
            rest.extend(held.values())
        elif isinstance(value, list):
            rest.extend(cast("list[Any]", value))
    return False
