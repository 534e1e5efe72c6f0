"""Why jobs and attempts fail, as data: what each cause means, whether it is tried again, and what a person can do.

Pure. Owns the table of causes, from which ``docs/causes.md`` is written, and the table by which what a node raised is put
down to a cause. Does not own the decision to try again (``dispatch.retrying``) nor how a run is judged (``dispatch.verdict``).

ComfyUI tells an exception by the full name of its type (``requests.exceptions.ConnectionError``; no module for built-in
ones) and its text, never by its base classes: so the types that count are listed one by one.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType

from .model import Cause

LONGEST_TEXT = 4_096
"""How much of an exception's text is looked at, in characters."""


class RetryLevel(str, Enum):
    """What follows an attempt that failed: nothing, another one at once, or another one after a back-off."""

    NEVER = "never"
    IN_PLACE = "in_place"
    LATER = "later"


@dataclass(frozen=True, slots=True)
class CauseRow:
    """One row of the table: what a cause ``means``, its ``level``, and the ``remedy`` for the person who asks why."""

    means: str
    level: RetryLevel
    remedy: str


CAUSES: Mapping[Cause, CauseRow] = MappingProxyType(
    {
        Cause.OUT_OF_MEMORY: CauseRow(
            "The GPU's or the machine's memory was used up while a node ran.",
            RetryLevel.IN_PLACE,
            "Make the image or the batch smaller, use a smaller or quantised model, or close what else uses the GPU.",
        ),
        Cause.NODE_ERROR: CauseRow(
            "A node raised an error that would come again, or ComfyUI could not run the prompt.",
            RetryLevel.NEVER,
            "Read the message and the node it names; change the workflow, or report the fault to the node's author.",
        ),
        Cause.MODEL_MISSING: CauseRow(
            "A model file that the workflow names is not on this server.",
            RetryLevel.NEVER,
            "Put the file into ComfyUI's models folder, or choose another model; then run the job again.",
        ),
        Cause.INPUT_CHANGED: CauseRow(
            "What the job was accepted with is no longer so: an input file or a node changed before it ran.",
            RetryLevel.NEVER,
            "Upload the input again, or restore the node pack, and submit the job again.",
        ),
        Cause.STALLED: CauseRow(
            "The run made no progress for longer than allowed and was stopped.",
            RetryLevel.LATER,
            "Nothing to do if it passes, as a download that hangs does; else look at the last node, and if it is slow by nature, "
            "allow more time in the settings.",
        ),
        Cause.PROCESS_DIED: CauseRow(
            "ComfyUI's process ended while the job ran.",
            RetryLevel.LATER,
            "Nothing to do at first: the job runs again after the start. Look for what ended the process, often too little memory.",
        ),
        Cause.POISON: CauseRow(
            "The process died again and again while this job ran, so it is set aside.",
            RetryLevel.NEVER,
            "Look at its last node, and in the log for the process's last words; run it again once the reason is gone.",
        ),
        Cause.INTERRUPTED: CauseRow(
            "Somebody stopped the run through ComfyUI, or the server was stopped as planned.",
            RetryLevel.NEVER,
            "Submit the job again if it was a mistake; after a planned stop it runs again by itself.",
        ),
        Cause.LEASE_LOST: CauseRow(
            "The server lost its right to the job while it ran, for example because it was cut off.",
            RetryLevel.LATER,
            "Nothing to do; if it happens often, look at the network between the servers.",
        ),
        Cause.UPSTREAM_UNAVAILABLE: CauseRow(
            "A service that a node calls could not be reached, did not answer in time or was overloaded.",
            RetryLevel.LATER,
            "Nothing to do if it passes; else check the network and the state of the service.",
        ),
        Cause.SECRET_LOST: CauseRow(
            "The job needs a partner key that came with it, and keys are never stored: a restart forgets them.",
            RetryLevel.NEVER,
            "Submit the job again, with its key.",
        ),
        Cause.EXPIRED: CauseRow(
            "The job waited longer than its expires_in_s.",
            RetryLevel.NEVER,
            "Submit it again, with more time or a higher priority (10 is most urgent).",
        ),
        Cause.CANCELED: CauseRow(
            "Somebody cancelled the job.", RetryLevel.NEVER, "Nothing; run the job again if it was a mistake."
        ),
    }
)
"""All there is to say about each cause. The levels are defaults, which settings can change."""

OF_RUNS = frozenset(
    {Cause.OUT_OF_MEMORY, Cause.NODE_ERROR, Cause.MODEL_MISSING, Cause.UPSTREAM_UNAVAILABLE, Cause.INTERRUPTED}
)
"""Causes that what a node raised may be put down to."""

SWITCHABLE = frozenset(
    {
        Cause.OUT_OF_MEMORY,
        Cause.NODE_ERROR,
        Cause.MODEL_MISSING,
        Cause.INPUT_CHANGED,
        Cause.STALLED,
        Cause.LEASE_LOST,
        Cause.UPSTREAM_UNAVAILABLE,
    }
)
"""Causes whose level the settings may change; the others are somebody's wish, or a rule of their own (restarts)."""

RULES: Mapping[str, Cause] = MappingProxyType(
    {
        # Memory. CUDA, ROCm, MPS and the CPU each say it in their own words when they do not use torch's own type.
        "torch.OutOfMemoryError": Cause.OUT_OF_MEMORY,
        "*.OutOfMemoryError": Cause.OUT_OF_MEMORY,
        "OutOfMemoryError": Cause.OUT_OF_MEMORY,
        "MemoryError": Cause.OUT_OF_MEMORY,
        "numpy.*._ArrayMemoryError": Cause.OUT_OF_MEMORY,
        "torch.AcceleratorError: *out of memory*": Cause.OUT_OF_MEMORY,
        "RuntimeError: *out of memory*": Cause.OUT_OF_MEMORY,
        "RuntimeError: *allocation on device*": Cause.OUT_OF_MEMORY,
        "RuntimeError: *not enough memory*": Cause.OUT_OF_MEMORY,
        "RuntimeError: *can't allocate memory*": Cause.OUT_OF_MEMORY,
        "RuntimeError: *_STATUS_ALLOC_FAILED*": Cause.OUT_OF_MEMORY,
        "OSError: *Cannot allocate memory*": Cause.OUT_OF_MEMORY,
        # Models.
        "FileNotFoundError: Model in folder '*' with filename '*' not found*": Cause.MODEL_MISSING,
        "FileNotFoundError: *.safetensors*": Cause.MODEL_MISSING,
        "FileNotFoundError: *.sft'*": Cause.MODEL_MISSING,
        "FileNotFoundError: *.gguf*": Cause.MODEL_MISSING,
        "FileNotFoundError: *.ckpt*": Cause.MODEL_MISSING,
        "FileNotFoundError: *.pth*": Cause.MODEL_MISSING,
        "FileNotFoundError: *.pt'*": Cause.MODEL_MISSING,
        "FileNotFoundError: *.onnx*": Cause.MODEL_MISSING,
        # Connections and timeouts: Python's own.
        "ConnectionError": Cause.UPSTREAM_UNAVAILABLE,
        "ConnectionResetError": Cause.UPSTREAM_UNAVAILABLE,
        "ConnectionRefusedError": Cause.UPSTREAM_UNAVAILABLE,
        "ConnectionAbortedError": Cause.UPSTREAM_UNAVAILABLE,
        "BrokenPipeError": Cause.UPSTREAM_UNAVAILABLE,
        "TimeoutError": Cause.UPSTREAM_UNAVAILABLE,
        "OSError: *Network is unreachable*": Cause.UPSTREAM_UNAVAILABLE,
        "OSError: *No route to host*": Cause.UPSTREAM_UNAVAILABLE,
        "socket.gaierror": Cause.UPSTREAM_UNAVAILABLE,
        "socket.herror": Cause.UPSTREAM_UNAVAILABLE,
        "socket.timeout": Cause.UPSTREAM_UNAVAILABLE,
        "ssl.SSLEOFError": Cause.UPSTREAM_UNAVAILABLE,
        "asyncio.exceptions.TimeoutError": Cause.UPSTREAM_UNAVAILABLE,
        "asyncio.exceptions.IncompleteReadError": Cause.UPSTREAM_UNAVAILABLE,
        "concurrent.futures._base.TimeoutError": Cause.UPSTREAM_UNAVAILABLE,
        # A certificate that is wrong stays wrong, whatever type it comes in.
        "*: *CERTIFICATE_VERIFY_FAILED*": Cause.NODE_ERROR,
        "urllib.error.URLError": Cause.UPSTREAM_UNAVAILABLE,
        "urllib.error.ContentTooShortError": Cause.UPSTREAM_UNAVAILABLE,
        "urllib.error.HTTPError: HTTP Error 5??:*": Cause.UPSTREAM_UNAVAILABLE,
        "urllib.error.HTTPError: HTTP Error 429:*": Cause.UPSTREAM_UNAVAILABLE,
        "urllib.error.HTTPError: HTTP Error 408:*": Cause.UPSTREAM_UNAVAILABLE,
        "http.client.RemoteDisconnected": Cause.UPSTREAM_UNAVAILABLE,
        "http.client.IncompleteRead": Cause.UPSTREAM_UNAVAILABLE,
        "http.client.BadStatusLine": Cause.UPSTREAM_UNAVAILABLE,
        # The clients that nodes use. A 4xx answer is no transient fault, but for 408 and 429.
        "requests.exceptions.ConnectionError": Cause.UPSTREAM_UNAVAILABLE,
        "requests.exceptions.*Timeout": Cause.UPSTREAM_UNAVAILABLE,
        "requests.exceptions.ProxyError": Cause.UPSTREAM_UNAVAILABLE,
        "requests.exceptions.ChunkedEncodingError": Cause.UPSTREAM_UNAVAILABLE,
        "requests.exceptions.RetryError": Cause.UPSTREAM_UNAVAILABLE,
        "*HTTPError: 5?? Server Error*": Cause.UPSTREAM_UNAVAILABLE,
        "*HTTPError: 429 Client Error*": Cause.UPSTREAM_UNAVAILABLE,
        "*HTTPError: 408 Client Error*": Cause.UPSTREAM_UNAVAILABLE,
        "urllib3.exceptions.*TimeoutError": Cause.UPSTREAM_UNAVAILABLE,
        "urllib3.exceptions.ReadTimeoutError": Cause.UPSTREAM_UNAVAILABLE,
        "urllib3.exceptions.MaxRetryError": Cause.UPSTREAM_UNAVAILABLE,
        "urllib3.exceptions.NewConnectionError": Cause.UPSTREAM_UNAVAILABLE,
        "urllib3.exceptions.NameResolutionError": Cause.UPSTREAM_UNAVAILABLE,
        "urllib3.exceptions.ProtocolError": Cause.UPSTREAM_UNAVAILABLE,
        "urllib3.exceptions.IncompleteRead": Cause.UPSTREAM_UNAVAILABLE,
        "urllib3.exceptions.ProxyError": Cause.UPSTREAM_UNAVAILABLE,
        "httpx.*Timeout": Cause.UPSTREAM_UNAVAILABLE,
        "httpx.ConnectError": Cause.UPSTREAM_UNAVAILABLE,
        "httpx.ReadError": Cause.UPSTREAM_UNAVAILABLE,
        "httpx.WriteError": Cause.UPSTREAM_UNAVAILABLE,
        "httpx.CloseError": Cause.UPSTREAM_UNAVAILABLE,
        "httpx.ProxyError": Cause.UPSTREAM_UNAVAILABLE,
        "httpx.RemoteProtocolError": Cause.UPSTREAM_UNAVAILABLE,
        "httpx.HTTPStatusError: Server error *": Cause.UPSTREAM_UNAVAILABLE,
        "httpx.HTTPStatusError: Client error '429 *": Cause.UPSTREAM_UNAVAILABLE,
        "httpcore.*Timeout": Cause.UPSTREAM_UNAVAILABLE,
        "httpcore.ConnectError": Cause.UPSTREAM_UNAVAILABLE,
        "httpcore.ReadError": Cause.UPSTREAM_UNAVAILABLE,
        "httpcore.WriteError": Cause.UPSTREAM_UNAVAILABLE,
        "httpcore.RemoteProtocolError": Cause.UPSTREAM_UNAVAILABLE,
        "aiohttp.client_exceptions.ClientConnectorError": Cause.UPSTREAM_UNAVAILABLE,
        "aiohttp.client_exceptions.ClientConnectorDNSError": Cause.UPSTREAM_UNAVAILABLE,
        "aiohttp.client_exceptions.ClientConnection*": Cause.UPSTREAM_UNAVAILABLE,
        "aiohttp.client_exceptions.ClientProxyConnectionError": Cause.UPSTREAM_UNAVAILABLE,
        "aiohttp.client_exceptions.ClientOSError": Cause.UPSTREAM_UNAVAILABLE,
        "aiohttp.client_exceptions.ClientPayloadError": Cause.UPSTREAM_UNAVAILABLE,
        "aiohttp.client_exceptions.Server*ed*Error": Cause.UPSTREAM_UNAVAILABLE,
        "aiohttp.client_exceptions.ServerConnectionError": Cause.UPSTREAM_UNAVAILABLE,
        "aiohttp.client_exceptions.*TimeoutError": Cause.UPSTREAM_UNAVAILABLE,
        "aiohttp.client_exceptions.*: 5??, message=*": Cause.UPSTREAM_UNAVAILABLE,
        "aiohttp.client_exceptions.*: 429, message=*": Cause.UPSTREAM_UNAVAILABLE,
        "websocket._exceptions.WebSocketTimeoutException": Cause.UPSTREAM_UNAVAILABLE,
        "websocket._exceptions.WebSocketConnectionClosedException": Cause.UPSTREAM_UNAVAILABLE,
        "websockets.exceptions.ConnectionClosedError": Cause.UPSTREAM_UNAVAILABLE,
        "botocore.exceptions.*TimeoutError": Cause.UPSTREAM_UNAVAILABLE,
        "botocore.exceptions.*ConnectionError": Cause.UPSTREAM_UNAVAILABLE,
        "botocore.exceptions.ConnectionClosedError": Cause.UPSTREAM_UNAVAILABLE,
        "botocore.exceptions.HTTPClientError": Cause.UPSTREAM_UNAVAILABLE,
        "botocore.*: An error occurred (SlowDown)*": Cause.UPSTREAM_UNAVAILABLE,
        "botocore.*: An error occurred (Throttl*": Cause.UPSTREAM_UNAVAILABLE,
        "botocore.*: An error occurred (ServiceUnavailable)*": Cause.UPSTREAM_UNAVAILABLE,
        "botocore.*: An error occurred (InternalError)*": Cause.UPSTREAM_UNAVAILABLE,
        "openai.API*Error: Connection error*": Cause.UPSTREAM_UNAVAILABLE,
        "openai.APITimeoutError": Cause.UPSTREAM_UNAVAILABLE,
        "openai.InternalServerError": Cause.UPSTREAM_UNAVAILABLE,
        "google.api_core.exceptions.ServiceUnavailable": Cause.UPSTREAM_UNAVAILABLE,
        "google.api_core.exceptions.DeadlineExceeded": Cause.UPSTREAM_UNAVAILABLE,
        "google.api_core.exceptions.TooManyRequests": Cause.UPSTREAM_UNAVAILABLE,
        "huggingface_hub.errors.*TimeoutError": Cause.UPSTREAM_UNAVAILABLE,
        "huggingface_hub.errors.OverloadedError": Cause.UPSTREAM_UNAVAILABLE,
        # ComfyUI's own partner nodes, in every release's place.
        "comfy_api_nodes.*.LocalNetworkError": Cause.UPSTREAM_UNAVAILABLE,
        "comfy_api_nodes.*.ApiServerError": Cause.UPSTREAM_UNAVAILABLE,
        "comfy_api_nodes.*.ProcessingInterrupted": Cause.INTERRUPTED,
    }
)
"""What a node raised to its cause: globs, the first that fits counts, ``NODE_ERROR`` if none does.

A glob stands for the full name of the exception's type, or, with a colon and a space in it, for ``type: text``. Upper and
lower case are the same.
"""


class CauseTable:
    """Puts what a node raised down to a cause: ``extra`` rules first, in their order, then ``RULES``."""

    def __init__(self, extra: Mapping[str, Cause] | None = None) -> None:
        """``extra``: globs as in ``RULES``."""
        self._extra = [_Rule.of(glob, cause) for glob, cause in (extra or {}).items()]
        self._rules = [*self._extra, *(_Rule.of(glob, cause) for glob, cause in RULES.items())]

    def cause_of(self, exception_type: str, text: str = "") -> Cause:
        """The cause of an exception, by its type's full name and its text."""
        name = exception_type.lower()
        told = f"{name}: {text[:LONGEST_TEXT].lower()}"
        for rule in self._rules:
            if rule.pattern.match(told if rule.with_text else name):
                return rule.cause
        return Cause.NODE_ERROR


@dataclass(frozen=True, slots=True)
class _Rule:
    pattern: re.Pattern[str]
    with_text: bool
    cause: Cause

    @classmethod
    def of(cls, glob: str, cause: Cause) -> _Rule:
        return cls(re.compile(fnmatch.translate(glob.lower())), ": " in glob, cause)
