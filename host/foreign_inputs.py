"""Input files of jobs that were submitted elsewhere: fetched from there before the job runs, and named by the prompt that runs.

A file is kept under the hash of its bytes (``input/expeditor/<hash>/<name>``), so that it is fetched once and ComfyUI's cache knows equal
bytes as equal. One that this instance has under the same name with the same bytes stays where it is. The stored prompt does not change.
Blocks: ComfyUI's worker thread.
"""

from __future__ import annotations

import asyncio
import json
from collections import OrderedDict
from collections.abc import Callable, Mapping
from concurrent.futures import TimeoutError as TooLate
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

from ..jobs.belonging import keeper_of
from ..jobs.errors import ExpeditorError, InputInvalid, StoreUnavailable
from ..jobs.leftovers import INPUT, FileName, inputs_of, renamed_inputs
from ..jobs.model import Cause, Claim, JobError, JsonObject
from ..jobs.models_named import ends_as_model
from ..jobs.parcels import NAMES_MAX, InputFile, file_fields, inputs_from
from .desk import InputHashes
from .fetching import Fetcher, Wanted
from .files import Folders, located
from .peers import PeerAway, PeerRefused, Peers, PeerThread

FOLDER = "expeditor"
FETCH_S = 600.0
DIGEST_SHOWN = 32
LONGEST_SUFFIX = 8
REMEMBERED_JOBS = 1000
"""Of how many jobs the names that their files got are remembered."""


class ForeignInputs:
    """Fits ``ports.Inputs``."""

    def __init__(
        self,
        *,
        name: str,
        folders: Folders,
        hashes: InputHashes,
        peers: Peers,
        thread: PeerThread,
        fetcher: Callable[[Path], Fetcher],
    ) -> None:
        """``name`` is this instance's; ``fetcher`` is asked for one of a folder."""
        self._name = name
        self._folders = folders
        self._hashes = hashes
        self._peers = peers
        self._thread = thread
        self._new_fetcher = fetcher
        self._fetcher: tuple[Path, Fetcher] | None = None
        self._named: OrderedDict[str, dict[str, str]] = OrderedDict()

    def ready(self, claim: Claim) -> Claim | JobError:
        """The claim as it can run here, its input files fetched; or why it cannot now. Never raises."""
        origin = claim.job.origin
        if origin is None or origin == self._name:
            return claim
        names = _names(claim.payload.prompt_json)
        base = self._folders(INPUT)
        if not names or base is None:
            return claim
        try:
            renamed = self._thread.run(self._fetched(origin, names, Path(base))).result(FETCH_S)
        except (PeerAway, PeerRefused, ExpeditorError, TooLate, OSError) as fault:
            # One that was parked here has been given its files before.
            known = self._named.get(claim.job.id) if keeper_of(claim.job) == self._name else None
            if known is None:
                text = f"The input files of the job are on instance {origin}, which cannot give them now. {fault}"
                return JobError(Cause.UPSTREAM_UNAVAILABLE.value, text.rstrip())
            renamed = known
        self._remember(claim.job.id, renamed)
        if not renamed:
            return claim
        prompt: Any = json.loads(claim.payload.prompt_json)
        changed = json.dumps(renamed_inputs(prompt, renamed))
        return replace(claim, payload=replace(claim.payload, prompt_json=changed))

    def _remember(self, job_id: str, renamed: dict[str, str]) -> None:
        self._named[job_id] = renamed
        self._named.move_to_end(job_id)
        while len(self._named) > REMEMBERED_JOBS:
            self._named.popitem(last=False)

    async def bring(self, origin: str, prompt: JsonObject) -> Mapping[str, str]:
        """Fetch the input files that a prompt of that instance names: the new names of those that have another one here. Raises
        ``StoreUnavailable``. Used on ComfyUI's loop."""
        names, base = _names(json.dumps(prompt)), self._folders(INPUT)
        if not names or base is None:
            return {}
        try:
            return await asyncio.wrap_future(self._thread.run(self._fetched(origin, names, Path(base))))
        except (PeerAway, PeerRefused, InputInvalid, OSError) as fault:
            text = f"The input files of the prompt are on instance {origin}, which cannot give them now. {fault}"
            raise StoreUnavailable(text.rstrip()) from fault

    async def _fetched(self, origin: str, names: list[str], base: Path) -> dict[str, str]:
        answer = await self._peers.ask(origin, "/inputs", {"names": names})
        renamed: dict[str, str] = {}
        for file in inputs_from(answer):
            if file.name not in names:
                raise InputInvalid(f"Instance {origin} tells of a file that was not asked for.")
            if not await asyncio.to_thread(self._is_here, file):
                renamed[file.name] = await self._fetch(origin, file, base)
        return renamed

    async def _fetch(self, origin: str, file: InputFile, base: Path) -> str:
        folder = base / FOLDER
        if self._fetcher is None or self._fetcher[0] != folder:
            self._fetcher = folder, self._new_fetcher(folder)
        plain = PurePosixPath(file.name.replace("\\", "/")).name
        short = file.digest[:DIGEST_SHOWN]
        if not short.isalnum() or plain in ("", ".", ".."):
            raise InputInvalid(f"Instance {origin} tells of a file with no sound name or hash.")
        params = file_fields(FileName(INPUT, "", file.name))
        wanted = Wanted(params, folder / short / plain, file.size_bytes, file.digest)
        if not await self._fetcher[1].fetch([origin], wanted):
            raise PeerAway(f"The file {file.name} has just gone there.")
        return f"{FOLDER}/{short}/{plain}"

    def _is_here(self, file: InputFile) -> bool:
        path = located(self._folders, FileName(INPUT, "", file.name))
        try:
            return (
                path is not None
                and path.stat().st_size == file.size_bytes
                and self._hashes.of(path) == (file.size_bytes, file.digest)
            )
        except OSError:
            return False


def _names(prompt_json: str) -> list[str]:
    return sorted(name for name in inputs_of(prompt_json) if may_be_file(name))[:NAMES_MAX]


def may_be_file(name: str) -> bool:
    """Whether a text of a prompt may name a file of the input folder: it has an ending as files have, and not one of a model."""
    suffix = PurePosixPath(name.replace("\\", "/")).suffix
    return 1 < len(suffix) <= LONGEST_SUFFIX and suffix[1:].isalnum() and not ends_as_model(name)
