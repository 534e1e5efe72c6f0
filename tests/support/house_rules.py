"""The house rules as functions from source texts to faults: who imports whom, how big things are, what is never written.

Pure: `Files` maps paths, relative to the checkout, to source text, so that a rule can be tried on made-up files. Which
files are read, and that there are no faults, is tests/test_architecture.py.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import PurePosixPath

Files = Mapping[str, str]
Function = ast.FunctionDef | ast.AsyncFunctionDef

# What the rules look at, of all that a file is made of.
LOOKED_AT = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.AsyncFunctionDef, ast.Call, ast.Global, ast.ExceptHandler)

# What a store promises; the rooms above see these modules of it and no others.
STORE_CONTRACTS = ("store.base", "store.records", "store.log", "store.batches", "store.assets", "store.deliveries")

# Room -> the rooms it may import besides itself; a dotted name allows that module alone. "" is the doorway.
MAY_IMPORT: dict[str, set[str]] = {
    "jobs": set(),
    "telemetry": {"jobs"},
    "store": {"jobs"},
    "events": {"jobs"},
    "host": {"jobs"},
    "intake": {"jobs", *STORE_CONTRACTS},
    "dispatch": {"jobs", *STORE_CONTRACTS},
    "routes": {"intake", "dispatch", "events", "telemetry", "jobs"},
    "runtime": {"jobs", "telemetry", "store", "events", "host", "intake", "dispatch", "routes"},
    "nodes": {"jobs", "events", "runtime.services"},
    "client": set(),  # a program of its own, which knows the server by its routes alone
    "": {"nodes", "runtime"},
}
ROOMS = frozenset(room for room in MAY_IMPORT if room)

COMFYUI = frozenset(
    "app comfy comfy_api comfy_api_nodes comfy_config comfy_execution comfy_extras comfyui_version execution folder_paths "
    "latent_preview node_helpers nodes server".split()
)

# Library -> the places that may import it, as prefixes of the path. A library that is not here may be imported anywhere.
KEPT_IN: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(COMFYUI, ("host/", "nodes/")),
    "torch": ("nodes/", "host/"),
    "aiohttp": ("routes/", "host/", "runtime/", "events/webhooks"),
    "aiohttp_sse": ("routes/",),
    "sqlite3": ("store/sqlite",),
    **dict.fromkeys(("redis", "bullmq", "msgpack"), ("store/bullmq/",)),
    "prometheus_client": ("telemetry/",),
    "pythonjsonlogger": ("telemetry/",),
    "pydantic_settings": ("runtime/",),
    "pynvml": ("host/",),
    "obstore": ("host/bucket",),
    **dict.fromkeys(("httpx", "httpx_sse", "rich", "tenacity", "typer", "websocket"), ("client/",)),
}

# What ComfyUI itself installs and may be counted on.
COMES_WITH_COMFYUI = frozenset({"numpy", "pillow", "psutil", "pydantic", "safetensors", "torch", "yaml"})
# Modules whose distribution is called otherwise.
DISTRIBUTION = {
    "PIL": "Pillow",
    "pynvml": "nvidia-ml-py",
    "pythonjsonlogger": "python-json-logger",
    "skimage": "scikit-image",
    "websocket": "websocket-client",
}

FILE_LINES = 400
DOORWAY_LINES = 20
FUNCTION_LINES = 50
ROUTE_HANDLER_LINES = 15

SLEEPS = {"time.sleep", "asyncio.sleep", "sleep"}
PATCHES = {"monkeypatch.setattr", "monkeypatch.setitem", "mock.patch", "mocker.patch"}
PATCH_LIBRARIES = {"unittest.mock", "mock", "pytest_mock"}


def room_of(path: str) -> str | None:
    """The room of a file of the pack, "" for the doorway, None for what is not part of the pack."""
    first, _, rest = path.partition("/")
    if not rest:
        return "" if path == "__init__.py" else None
    return first if first in ROOMS else None


def pack_of(files: Files) -> dict[str, str]:
    """Only the files of the pack itself."""
    return {path: text for path, text in files.items() if room_of(path) is not None}


def imports_go_down(files: Files) -> list[str]:
    """Rooms import only what MAY_IMPORT says."""
    faults: list[str] = []
    for path, text in pack_of(files).items():
        room = room_of(path) or ""
        for line, name in _relative_imports(path, text):
            allowed = (room, *MAY_IMPORT[room]) if room else tuple(MAY_IMPORT[room])
            if not any(f"{name}.".startswith(f"{one}.") for one in allowed):
                faults.append(f"{path}:{line} {room or 'the doorway'} may not import {name}")
    return faults


def libraries_stay_in_their_rooms(files: Files) -> list[str]:
    """ComfyUI in host/ and nodes/, HTTP at the edge, SQL in its store: KEPT_IN."""
    return [
        f"{path}:{line} imports {name}, which is kept in {' '.join(places)}"
        for path, text in pack_of(files).items()
        for line, name in _absolute_imports(text)
        if (places := KEPT_IN.get(name.split(".")[0])) and not path.startswith(places)
    ]


def vocabulary_and_tool_are_plain_python(files: Files) -> list[str]:
    """jobs/, devtools/ and dev.py import the standard library only."""
    return [
        f"{path}:{line} imports {name}"
        for path, text in files.items()
        if path.startswith(("jobs/", "devtools/")) or path == "dev.py"
        for line, name in _absolute_imports(text)
        if name.split(".")[0] not in {*sys.stdlib_module_names, "devtools"}
    ]


def outside_imports_are_declared(files: Files, declared: frozenset[str]) -> list[str]:
    """Every library is in a requirements list, comes with ComfyUI, or is ours: what lies about on one machine is not enough."""
    own = ROOMS | {"benchmarks", "devtools", "docs", "examples", "expeditor", "tests"}
    own |= {
        PurePosixPath(path).stem for path in files if not room_of(path)
    }  # a script run by path finds its neighbours
    known = sys.stdlib_module_names | own | COMFYUI | COMES_WITH_COMFYUI | {_folded(name) for name in declared}
    return [
        f"{path}:{line} imports {name}, which no requirements list names"
        for path, text in files.items()
        for line, name in _absolute_imports(text)
        if _folded(DISTRIBUTION.get(name.split(".")[0], name.split(".")[0])) not in known
    ]


def _folded(name: str) -> str:
    return name.lower().replace("-", "_")


def own_imports_are_relative(files: Files) -> list[str]:
    """ComfyUI loads the pack under a name made of its path: an absolute import of a room finds something else, or nothing."""
    ours = ROOMS | {"expeditor"}
    return [
        f"{path}:{line} imports {name}"
        for path, text in pack_of(files).items()
        for line, name in _absolute_imports(text)
        if name.split(".")[0] in ours - {"nodes"}  # a bare `nodes` is ComfyUI's module, kept in its rooms above
    ]


def files_are_small(files: Files) -> list[str]:
    """FILE_LINES each, and a doorway of DOORWAY_LINES."""
    limits = {"__init__.py": DOORWAY_LINES}
    return [
        f"{path}: {len(text.splitlines())} lines"
        for path, text in files.items()
        if len(text.splitlines()) > limits.get(path, FILE_LINES)
    ]


def functions_are_small(files: Files) -> list[str]:
    """FUNCTION_LINES, docstring not counted."""
    return [
        f"{path}:{function.lineno} {function.name}: {_lines(function)} lines"
        for path, text in files.items()
        for function in _functions(text)
        if _lines(function) > FUNCTION_LINES
    ]


def route_handlers_are_thin(files: Files) -> list[str]:
    """A handler (an async function of routes/ with a `request`) parses, calls one service, renders."""
    return [
        f"{path}:{function.lineno} {function.name}: {_lines(function)} lines"
        for path, text in files.items()
        if room_of(path) == "routes"
        for function in _functions(text)
        if isinstance(function, ast.AsyncFunctionDef)
        and any(argument.arg == "request" for argument in function.args.args)
        and _lines(function) > ROUTE_HANDLER_LINES
    ]


def modules_say_what_they_own(files: Files) -> list[str]:
    """A docstring on every module that is not empty."""
    return [path for path, text in files.items() if not (_read(text).empty or _read(text).docstring)]


def no_module_state_print_or_bare_except(files: Files) -> list[str]:
    """No `global`, no `print`, no `except:` in the pack."""
    faults: list[str] = []
    for path, text in pack_of(files).items():
        for node in _read(text).nodes:
            if isinstance(node, ast.Global):
                faults.append(f"{path}:{node.lineno} global")
            elif isinstance(node, ast.ExceptHandler) and node.type is None:
                faults.append(f"{path}:{node.lineno} bare except")
        faults += [f"{path}:{call.lineno} print" for call, name in _calls(text, {"print"}) if name == "print"]
    return faults


def loggers_have_fixed_names(files: Files) -> list[str]:
    """`__name__` would be the path of the installation."""
    return [
        f"{path}:{call.lineno} {ast.unparse(call)}"
        for path, text in pack_of(files).items()
        for call, _ in _calls(text, {"getLogger"})
        if not (call.args and _fixed_logger_name(call.args[0]))
    ]


def tests_neither_sleep_nor_patch(files: Files) -> list[str]:
    """Waiting is polling with a deadline (tests/support/waiting.py). A made-up node may sleep: it stands for slow work."""
    faults: list[str] = []
    for path, text in files.items():
        if path.startswith("tests/") and PurePosixPath(path).name.startswith(("test_", "conftest")):
            faults += [
                f"{path}:{line} imports {name}" for line, name in _absolute_imports(text) if name in PATCH_LIBRARIES
            ]
            faults += [
                f"{path}:{call.lineno} {name}"
                for call, name in _calls(text, {each.rpartition(".")[2] for each in SLEEPS | PATCHES})
                if name in SLEEPS | PATCHES
                and not (call.args and ast.unparse(call.args[0]) == "0")  # that yields the loop once
            ]
    return faults


def _fixed_logger_name(argument: ast.expr) -> bool:
    if isinstance(argument, ast.Name):
        return argument.id.isupper()  # a constant
    name = argument.value if isinstance(argument, ast.Constant) else None
    return isinstance(name, str) and name.split(".")[0] in {"expeditor", "aiohttp"}


@dataclass(frozen=True, slots=True)
class _Source:
    """A file's text, read once for all rules."""

    empty: bool
    docstring: str | None
    nodes: tuple[ast.AST, ...]
    """Those that are LOOKED_AT, the outer ones first."""


@cache
def _read(text: str) -> _Source:
    tree = ast.parse(text)
    nodes = tuple(node for node in ast.walk(tree) if isinstance(node, LOOKED_AT))
    return _Source(not tree.body, ast.get_docstring(tree), nodes)


def forget() -> None:
    """Give back the memory of what was read: some hundred megabytes for the whole checkout."""
    _read.cache_clear()


def _calls(text: str, names: set[str]) -> Iterator[tuple[ast.Call, str]]:
    """Calls of what has one of these names, whatever stands in front of it; with the whole name."""
    for node in _read(text).nodes:
        if isinstance(node, ast.Call) and getattr(node.func, "id", getattr(node.func, "attr", None)) in names:
            yield node, ast.unparse(node.func)


def _absolute_imports(text: str) -> Iterator[tuple[int, str]]:
    for node in _read(text).nodes:
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.lineno, node.module or ""


def _relative_imports(path: str, text: str) -> Iterator[tuple[int, str]]:
    """The names are counted from the root of the pack: `store.base`."""
    folder = path.split("/")[:-1]
    for node in _read(text).nodes:
        if isinstance(node, ast.ImportFrom) and node.level:
            base = folder[: len(folder) - (node.level - 1)]
            if node.module:
                yield node.lineno, ".".join([*base, node.module])
            else:
                yield from ((node.lineno, ".".join([*base, alias.name])) for alias in node.names)


def _functions(text: str) -> Iterator[Function]:
    yield from (node for node in _read(text).nodes if isinstance(node, Function))


def _lines(function: Function) -> int:
    first = function.body[0]
    said = (first.end_lineno or first.lineno) - first.lineno + 1 if ast.get_docstring(function) is not None else 0
    return (function.end_lineno or function.lineno) - function.lineno + 1 - said
