"""Assets in a graph: ``core/ASSET`` references become the names by which ComfyUI's loaders find the files.

Owns which parts of a graph are references. A plain filename under which its sender uploaded something names that upload, also when the
name was taken and the file has another one. A graph of a server without uploads and without references costs nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

from ...jobs.assets import Asset, is_asset_id, name_in_graph
from ...jobs.awaiting import Awaiter
from ...jobs.errors import Fault, MissingAsset
from ...jobs.model import JsonObject, Principal
from ...store.assets import AssetStore
from ..asset_ports import AssetFiles
from ..asset_use import AssetUse
from ..faults import pointer
from ..output_assets import OutputAssets

TYPE_KEY = "__type"
ASSET_TYPE = "core/ASSET"
MOST_REFERENCES = 1_000
_LONGEST_NAME = 1_024

Path = tuple[str, ...]


class AssetReferences:
    """Fits ``ports.AssetResolver``."""

    def __init__(
        self, *, store: AssetStore, files: AssetFiles, outputs: OutputAssets, use: AssetUse, awaiter: Awaiter
    ) -> None:
        """``files`` is asked on another thread."""
        self._store = store
        self._files = files
        self._outputs = outputs
        self._use = use
        self._wait = awaiter.settled

    async def resolve(self, workflow: JsonObject, principal: Principal) -> tuple[JsonObject, tuple[str, ...]]:
        """See ``AssetResolver``."""
        references = dict(_references(workflow)) if _refers(workflow) else {}
        names, faults = await self._names(references)
        if faults:
            raise MissingAsset(faults[0].message, faults=tuple(faults))
        plain = await self._plain(workflow, principal)
        used = (*dict.fromkeys(names), *(asset.id for asset in plain.values()))
        moved = {name: asset.blob.place for name, asset in plain.items() if asset.blob.place != name}
        if not names and not moved:
            return workflow, tuple(dict.fromkeys(used))
        return _replaced(workflow, names, moved), tuple(dict.fromkeys(used))

    async def hold(self, job_id: str, asset_ids: tuple[str, ...]) -> None:
        """See ``AssetResolver``."""
        await self._use.hold(job_id, asset_ids)
        kept = await self._wait(self._store.found(asset_ids))
        for asset_id in asset_ids:
            if asset_id not in kept and await self._outputs.find(asset_id) is None:
                raise MissingAsset(f"The asset {asset_id} was deleted while the workflow was judged.")

    async def _names(self, references: Mapping[Path, object]) -> tuple[dict[str, str], list[Fault]]:
        """How the graph names each asset, by id, and what is wrong with the references."""
        ids = {where: _id_of(value) for where, value in references.items()}
        wanted = list(dict.fromkeys(asset_id for asset_id in ids.values() if asset_id is not None))
        if len(wanted) > MOST_REFERENCES:
            raise MissingAsset(f"The workflow refers to more than {MOST_REFERENCES} assets.")
        if not wanted and not references:
            return {}, []
        uploads: Mapping[str, Asset] = await self._wait(self._store.found(wanted)) if wanted else {}
        names = {asset_id: name for asset_id in wanted if (name := await self._name(asset_id, uploads)) is not None}
        lost = [
            _fault(where, "is malformed" if asset_id is None else f"leads to no asset: {asset_id}")
            for where, asset_id in ids.items()
            if asset_id is None or asset_id not in names
        ]
        return names, lost

    async def _name(self, asset_id: str, uploads: Mapping[str, Asset]) -> str | None:
        asset = uploads.get(asset_id)
        if asset is not None:
            path = await asyncio.to_thread(self._files.find, asset.blob)
            return None if path is None else asset.blob.place
        found = await self._outputs.find(asset_id)
        return None if found is None or found.path is None else name_in_graph(found.output)

    async def _plain(self, workflow: JsonObject, principal: Principal) -> Mapping[str, Asset]:
        """The sender's uploads that plain texts of the graph name."""
        if not self._store.any_named():
            return {}
        texts = list(dict.fromkeys(_plain_texts(workflow)))
        return await self._wait(self._store.named(principal.name, texts)) if texts else {}


def _refers(workflow: JsonObject) -> bool:
    """Whether there is any reference. Most graphs have none: to see that costs less than half of finding out where they stand."""
    rest: list[Any] = [workflow]
    while rest:
        value = rest.pop()
        if isinstance(value, dict):
            fields = cast("JsonObject", value)
            if fields.get(TYPE_KEY) == ASSET_TYPE:
                return True
            rest.extend(fields.values())
        elif isinstance(value, list):
            rest.extend(cast("list[Any]", value))
    return False


def _references(workflow: JsonObject) -> Iterator[tuple[Path, object]]:
    """Where references stand and what they hold; a loop, since a client chooses how deep it nests."""
    rest: list[tuple[Path, Any]] = [((), workflow)]
    while rest:
        where, value = rest.pop()
        if _is_reference(value):
            yield where, cast("JsonObject", value).get("info")
        else:
            rest.extend(((*where, str(key)), held) for key, held in _items(value) if _holds(held))


def _replaced(workflow: JsonObject, names: Mapping[str, str], moved: Mapping[str, str]) -> JsonObject:
    """The workflow with names in place of references, and other names in place of plain ones. ``workflow`` is not changed."""
    root = dict(workflow)
    rest: list[Any] = [root]
    while rest:
        holder = rest.pop()
        for key, value in _items(holder):
            if _is_reference(value):
                holder[key] = names[str(_id_of(cast("JsonObject", value).get("info")))]
            elif isinstance(value, dict):
                holder[key] = dict(cast("JsonObject", value))
                rest.append(holder[key])
            elif isinstance(value, list):
                holder[key] = list(cast("list[Any]", value))
                rest.append(holder[key])
    for inputs in _inputs(root):
        inputs.update({name: moved[text] for name, text in inputs.items() if isinstance(text, str) and text in moved})
    return root


def _plain_texts(workflow: JsonObject) -> Iterator[str]:
    for inputs in _inputs(workflow):
        for text in inputs.values():
            if isinstance(text, str) and 0 < len(text) <= _LONGEST_NAME and text.isprintable():
                yield text


def _inputs(workflow: JsonObject) -> Iterator[JsonObject]:
    for node in workflow.values():
        inputs: Any = cast("JsonObject", node).get("inputs") if isinstance(node, dict) else None
        if isinstance(inputs, dict) and not _is_reference(cast("Any", inputs)):
            yield cast("JsonObject", inputs)


def _items(value: Any) -> Sequence[tuple[Any, Any]]:
    if isinstance(value, dict):
        return list(cast("JsonObject", value).items())
    return list(enumerate(cast("list[Any]", value))) if isinstance(value, list) else ()


def _holds(value: Any) -> bool:
    return isinstance(value, (dict, list))


def _is_reference(value: Any) -> bool:
    return isinstance(value, dict) and cast("JsonObject", value).get(TYPE_KEY) == ASSET_TYPE


def _id_of(info: object) -> str | None:
    asset_id = cast("JsonObject", info).get("id") if isinstance(info, dict) else None
    return asset_id if is_asset_id(asset_id) else None


def _fault(where: Path, what: str) -> Fault:
    message = f"The asset reference {what}."
    hint = "Upload the file, or run the job that made it, and use the id that you get."
    return Fault(pointer("workflow", *where), MissingAsset.code, message, hint)
