"""The table of causes: complete, held up to date as a page, and the cause of what nodes raise, by type and text."""

from __future__ import annotations

import importlib.util

import pytest

from expeditor.jobs import causes
from expeditor.jobs.causes import CAUSES, LONGEST_TEXT, OF_RUNS, RULES, SWITCHABLE, CauseTable, RetryLevel
from expeditor.jobs.model import Cause
from tests.conftest import ROOT

TABLE = CauseTable()


def full_name(exception: BaseException) -> str:
    """As ComfyUI reports it: no module for built-in types."""
    kind = type(exception)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def generator():
    spec = importlib.util.spec_from_file_location("generate_causes", ROOT / "docs" / "generate_causes.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_cause_has_its_row():
    assert set(CAUSES) == set(Cause)
    for row in CAUSES.values():
        assert row.means.endswith(".")
        assert row.remedy.endswith(".")
        assert "|" not in row.means + row.remedy


def test_the_levels_are_those_of_the_design():
    by_level = {level: {cause for cause, row in CAUSES.items() if row.level is level} for level in RetryLevel}
    assert by_level[RetryLevel.IN_PLACE] == {Cause.OUT_OF_MEMORY}
    assert by_level[RetryLevel.LATER] == {
        Cause.UPSTREAM_UNAVAILABLE,
        Cause.STALLED,
        Cause.PROCESS_DIED,
        Cause.LEASE_LOST,
    }
    assert Cause.STALLED in SWITCHABLE
    assert {Cause.CANCELED, Cause.EXPIRED, Cause.INTERRUPTED, Cause.POISON} & (
        SWITCHABLE | {Cause.PROCESS_DIED}
    ) == set()


def test_the_page_is_up_to_date():
    page = (ROOT / "docs" / "causes.md").read_text(encoding="utf-8")
    assert page == generator().page(causes), "run: python docs/generate_causes.py"


def test_every_rule_names_a_cause_that_a_run_may_end_with():
    assert set(RULES.values()) <= OF_RUNS


def made(module: str, name: str) -> BaseException:
    """A real exception of an installed library; its constructor, which may want anything, is passed by."""
    kind = getattr(pytest.importorskip(module), name)
    return kind.__new__(kind)


@pytest.mark.parametrize(
    ("module", "name", "cause"),
    [
        pytest.param("torch", "OutOfMemoryError", Cause.OUT_OF_MEMORY, marks=pytest.mark.long),
        pytest.param("torch.cuda", "OutOfMemoryError", Cause.OUT_OF_MEMORY, marks=pytest.mark.long),
        ("builtins", "MemoryError", Cause.OUT_OF_MEMORY),
        ("builtins", "ConnectionError", Cause.UPSTREAM_UNAVAILABLE),
        ("builtins", "ConnectionResetError", Cause.UPSTREAM_UNAVAILABLE),
        ("builtins", "ConnectionRefusedError", Cause.UPSTREAM_UNAVAILABLE),
        ("builtins", "BrokenPipeError", Cause.UPSTREAM_UNAVAILABLE),
        ("builtins", "TimeoutError", Cause.UPSTREAM_UNAVAILABLE),
        ("socket", "timeout", Cause.UPSTREAM_UNAVAILABLE),
        ("socket", "gaierror", Cause.UPSTREAM_UNAVAILABLE),
        ("asyncio", "TimeoutError", Cause.UPSTREAM_UNAVAILABLE),
        ("asyncio", "IncompleteReadError", Cause.UPSTREAM_UNAVAILABLE),
        ("concurrent.futures", "TimeoutError", Cause.UPSTREAM_UNAVAILABLE),
        ("urllib.error", "URLError", Cause.UPSTREAM_UNAVAILABLE),
        ("http.client", "RemoteDisconnected", Cause.UPSTREAM_UNAVAILABLE),
        ("http.client", "InvalidURL", Cause.NODE_ERROR),
        ("requests.exceptions", "ConnectionError", Cause.UPSTREAM_UNAVAILABLE),
        ("requests.exceptions", "ConnectTimeout", Cause.UPSTREAM_UNAVAILABLE),
        ("requests.exceptions", "ReadTimeout", Cause.UPSTREAM_UNAVAILABLE),
        ("requests.exceptions", "Timeout", Cause.UPSTREAM_UNAVAILABLE),
        ("requests.exceptions", "ChunkedEncodingError", Cause.UPSTREAM_UNAVAILABLE),
        ("requests.exceptions", "InvalidURL", Cause.NODE_ERROR),
        ("requests.exceptions", "HTTPError", Cause.NODE_ERROR),
        ("urllib3.exceptions", "MaxRetryError", Cause.UPSTREAM_UNAVAILABLE),
        ("urllib3.exceptions", "ConnectTimeoutError", Cause.UPSTREAM_UNAVAILABLE),
        ("urllib3.exceptions", "ReadTimeoutError", Cause.UPSTREAM_UNAVAILABLE),
        ("urllib3.exceptions", "ProtocolError", Cause.UPSTREAM_UNAVAILABLE),
        ("urllib3.exceptions", "LocationParseError", Cause.NODE_ERROR),
        ("aiohttp", "ClientConnectorError", Cause.UPSTREAM_UNAVAILABLE),
        ("aiohttp", "ClientConnectionError", Cause.UPSTREAM_UNAVAILABLE),
        ("aiohttp", "ClientConnectionResetError", Cause.UPSTREAM_UNAVAILABLE),
        ("aiohttp", "ServerDisconnectedError", Cause.UPSTREAM_UNAVAILABLE),
        ("aiohttp", "ServerTimeoutError", Cause.UPSTREAM_UNAVAILABLE),
        ("aiohttp", "ConnectionTimeoutError", Cause.UPSTREAM_UNAVAILABLE),
        ("aiohttp", "SocketTimeoutError", Cause.UPSTREAM_UNAVAILABLE),
        ("aiohttp", "ClientPayloadError", Cause.UPSTREAM_UNAVAILABLE),
        ("aiohttp", "ClientConnectorCertificateError", Cause.NODE_ERROR),
        ("aiohttp", "InvalidURL", Cause.NODE_ERROR),
        ("builtins", "ValueError", Cause.NODE_ERROR),
        ("builtins", "TypeError", Cause.NODE_ERROR),
        ("builtins", "RuntimeError", Cause.NODE_ERROR),
        ("builtins", "FileNotFoundError", Cause.NODE_ERROR),
        ("builtins", "KeyError", Cause.NODE_ERROR),
    ],
)
def test_the_types_that_libraries_really_raise(module, name, cause):
    assert TABLE.cause_of(full_name(made(module, name)), "") is cause


@pytest.mark.parametrize(
    ("exception_type", "text", "cause"),
    [
        ("torch.cuda.OutOfMemoryError", "", Cause.OUT_OF_MEMORY),  # the name of older releases of torch
        ("OutOfMemoryError", "", Cause.OUT_OF_MEMORY),
        ("NotOutOfMemoryError", "", Cause.NODE_ERROR),
        ("numpy._core._exceptions._ArrayMemoryError", "Unable to allocate 8 EiB", Cause.OUT_OF_MEMORY),
        ("RuntimeError", "CUDA out of memory. Tried to allocate 2.00 GiB", Cause.OUT_OF_MEMORY),
        ("RuntimeError", "CUDA error: out of memory\nCUDA kernel errors might be", Cause.OUT_OF_MEMORY),
        ("RuntimeError", "MPS backend out of memory (MPS allocated: 8 GB)", Cause.OUT_OF_MEMORY),
        ("RuntimeError", "Allocation on device 0 would exceed allowed memory", Cause.OUT_OF_MEMORY),
        ("RuntimeError", "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate`", Cause.OUT_OF_MEMORY),
        ("RuntimeError", "DefaultCPUAllocator: not enough memory: you tried to allocate", Cause.OUT_OF_MEMORY),
        ("RuntimeError", "DefaultCPUAllocator: can't allocate memory: you tried", Cause.OUT_OF_MEMORY),
        ("torch.AcceleratorError", "CUDA error: out of memory", Cause.OUT_OF_MEMORY),
        ("torch.AcceleratorError", "CUDA error: an illegal memory access was encountered", Cause.NODE_ERROR),
        ("ValueError", "the prompt says: out of memory", Cause.NODE_ERROR),
        ("RuntimeError", "mat1 and mat2 shapes cannot be multiplied", Cause.NODE_ERROR),
        ("FileNotFoundError", "Model in folder 'loras' with filename 'a.pt' not found.\n", Cause.MODEL_MISSING),
        ("FileNotFoundError", "[Errno 2] No such file or directory: '/m/A.SafeTensors'", Cause.MODEL_MISSING),
        ("FileNotFoundError", "[Errno 2] No such file or directory: 'picture.png'", Cause.NODE_ERROR),
        ("urllib.error.HTTPError", "HTTP Error 503: Service Unavailable", Cause.UPSTREAM_UNAVAILABLE),
        ("urllib.error.HTTPError", "HTTP Error 404: Not Found", Cause.NODE_ERROR),
        ("requests.exceptions.HTTPError", "502 Server Error: Bad Gateway for url: u", Cause.UPSTREAM_UNAVAILABLE),
        ("requests.exceptions.HTTPError", "429 Client Error: Too Many for url: u", Cause.UPSTREAM_UNAVAILABLE),
        ("requests.exceptions.HTTPError", "401 Client Error: Unauthorized for url: u", Cause.NODE_ERROR),
        ("huggingface_hub.errors.HfHubHTTPError", "504 Server Error: Gateway Time-out", Cause.UPSTREAM_UNAVAILABLE),
        ("aiohttp.client_exceptions.ClientResponseError", "503, message='x', url='u'", Cause.UPSTREAM_UNAVAILABLE),
        ("aiohttp.client_exceptions.ClientResponseError", "404, message='x', url='u'", Cause.NODE_ERROR),
        ("httpx.ConnectTimeout", "", Cause.UPSTREAM_UNAVAILABLE),
        ("httpx.ReadTimeout", "", Cause.UPSTREAM_UNAVAILABLE),
        ("httpx.ConnectError", "All connection attempts failed", Cause.UPSTREAM_UNAVAILABLE),
        ("httpx.ConnectError", "[SSL: CERTIFICATE_VERIFY_FAILED] certificate", Cause.NODE_ERROR),
        ("httpx.HTTPStatusError", "Server error '503 Service Unavailable' for url", Cause.UPSTREAM_UNAVAILABLE),
        ("httpx.HTTPStatusError", "Client error '404 Not Found' for url", Cause.NODE_ERROR),
        ("botocore.exceptions.EndpointConnectionError", "Could not connect", Cause.UPSTREAM_UNAVAILABLE),
        ("botocore.exceptions.ReadTimeoutError", "Read timeout", Cause.UPSTREAM_UNAVAILABLE),
        ("botocore.exceptions.ClientError", "An error occurred (SlowDown) when", Cause.UPSTREAM_UNAVAILABLE),
        ("botocore.exceptions.ClientError", "An error occurred (AccessDenied) when", Cause.NODE_ERROR),
        ("OSError", "[Errno 101] Network is unreachable", Cause.UPSTREAM_UNAVAILABLE),
        ("OSError", "[Errno 28] No space left on device", Cause.NODE_ERROR),
        ("comfy_api_nodes.util.common_exceptions.LocalNetworkError", "", Cause.UPSTREAM_UNAVAILABLE),
        ("comfy_api_nodes.util.common_exceptions.ProcessingInterrupted", "", Cause.INTERRUPTED),
        ("comfy_execution.graph.DependencyCycleError", "", Cause.NODE_ERROR),
        ("ExecutionBlocked", "Execution Blocked: no", Cause.NODE_ERROR),
        ("", "", Cause.NODE_ERROR),
    ],
)
def test_types_and_texts(exception_type, text, cause):
    assert TABLE.cause_of(exception_type, text) is cause


def test_rules_of_the_settings_come_first_and_in_their_order():
    table = CauseTable(
        {
            "my_pack.*": Cause.UPSTREAM_UNAVAILABLE,
            "my_pack.Odd": Cause.OUT_OF_MEMORY,
            "RuntimeError: *Warming Up*": Cause.UPSTREAM_UNAVAILABLE,
            "ConnectionError": Cause.NODE_ERROR,
        }
    )
    assert table.cause_of("my_pack.Odd") is Cause.UPSTREAM_UNAVAILABLE
    assert table.cause_of("RuntimeError", "the model is warming up") is Cause.UPSTREAM_UNAVAILABLE
    assert table.cause_of("RuntimeError", "no") is Cause.NODE_ERROR
    assert table.cause_of("ConnectionError", "") is Cause.NODE_ERROR
    assert table.cause_of("ConnectionResetError", "") is Cause.UPSTREAM_UNAVAILABLE


@pytest.mark.long
def test_a_real_allocation_that_is_too_large_is_out_of_memory():
    torch = pytest.importorskip("torch")
    with pytest.raises(RuntimeError) as raised:
        torch.empty(1 << 55, dtype=torch.uint8)
    assert TABLE.cause_of(full_name(raised.value), str(raised.value)) is Cause.OUT_OF_MEMORY


def test_of_a_long_text_only_the_beginning_is_looked_at():
    at_the_end = "x" * (LONGEST_TEXT - len("out of memory")) + "out of memory"
    assert TABLE.cause_of("RuntimeError", at_the_end) is Cause.OUT_OF_MEMORY
    assert TABLE.cause_of("RuntimeError", "x" + at_the_end) is Cause.NODE_ERROR
