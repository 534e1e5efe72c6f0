"""Bodies that stock ComfyUI answers with 500, a bare exception text, or its death: written as data, with what we answer.

`MALFORMED` holds the 121 cases found on stock servers; `FURTHER` holds relatives of theirs. `code` is ours (in
`error.extra_info.code`); a case without one is left to core, whose word stands in `type`. `ends` is how a job that is
legitimately accepted ends.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

NAN, INF = float("nan"), float("inf")
PROMPT_ID = "11111111-2222-4333-8444-555555555555"


@dataclass(frozen=True)
class Case:
    """One body for `POST /prompt`. `at` must occur in the answer: a pointer, a node id, or a word of core's."""

    group: str
    name: str
    body: Any
    status: int = 400
    code: str | None = None
    type: str | None = None
    at: str = ""
    ends: str | None = None
    headers: tuple[tuple[str, str], ...] = ()

    def raw(self) -> bytes:
        """The bytes to send."""
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


def graph(**changes: Any) -> dict[str, Any]:
    """EmptyImage → ImageScale → PreviewImage; a change `n2__width=5` sets an input, `n2__width=GONE` removes it."""
    nodes: dict[str, Any] = {
        "1": {"class_type": "EmptyImage", "inputs": {"width": 16, "height": 16, "batch_size": 1, "color": 255}},
        "2": {
            "class_type": "ImageScale",
            "inputs": {"image": ["1", 0], "upscale_method": "area", "width": 8, "height": 8, "crop": "disabled"},
        },
        "3": {"class_type": "PreviewImage", "inputs": {"images": ["2", 0]}},
    }
    for key, value in changes.items():
        node_id, name = key[1:].split("__")
        if value is GONE:
            nodes[node_id]["inputs"].pop(name)
        else:
            nodes[node_id]["inputs"][name] = value
    return nodes


GONE = object()


def with_node(node: Any, node_id: str = "9") -> dict[str, Any]:
    """A good graph and one more node, which no output reaches."""
    return {**graph(), node_id: node}


def without(node_id: str, part: str) -> dict[str, Any]:
    """A good graph, one node of which lacks `part`."""
    nodes = graph()
    del nodes[node_id][part]
    return nodes


def instead(node_id: str, part: str, value: Any) -> dict[str, Any]:
    """A good graph, one node of which has `value` as `part`."""
    nodes = graph()
    nodes[node_id][part] = value
    return nodes


def nested(depth: int) -> Any:
    """An object nested `depth` deep."""
    value: Any = 1
    for _ in range(depth):
        value = {"a": value}
    return value


def blur(sigma: Any) -> dict[str, Any]:
    """A good graph with an ImageBlur, whose sigma is a FLOAT, at an output of its own."""
    nodes = graph()
    nodes["4"] = {"class_type": "ImageBlur", "inputs": {"image": ["1", 0], "blur_radius": 1, "sigma": sigma}}
    nodes["3"]["inputs"]["images"] = ["4", 0]
    return nodes


def _cases(group: str, *rows: tuple[Any, ...], **common: Any) -> list[Case]:
    return [Case(group, row[0], row[1], **{**common, **(row[2] if len(row) > 2 else {})}) for row in rows]


def _prompts(group: str, *rows: tuple[Any, ...], **common: Any) -> list[Case]:
    return _cases(group, *((row[0], {"prompt": row[1]}, *row[2:]) for row in rows), **common)


_BODY = _cases(
    "body",
    ("empty", b""),
    ("not JSON", b"hello"),
    ("cut off", b'{"prompt": {"1": '),
    ("invalid UTF-8", b'{"prompt": "\xff\xfe"}'),
    ("5000 digits", b'{"prompt": {}, "number": ' + b"9" * 5000 + b"}"),
    ("lists 100 000 deep", b"[" * 100_000 + b"]" * 100_000, {"code": "LIMIT_EXCEEDED"}),
    ("objects 100 000 deep", b'{"a":' * 100_000 + b"1" + b"}" * 100_000, {"code": "LIMIT_EXCEEDED"}),
    ("null", b"null", {"code": "INVALID_PROMPT"}),
    ("number", b"5", {"code": "INVALID_PROMPT"}),
    ("empty list", b"[]", {"code": "INVALID_PROMPT", "type": "no_prompt"}),
    ("list", [{"prompt": graph()}], {"code": "INVALID_PROMPT", "type": "no_prompt"}),
    ("string", b'"abc"', {"code": "INVALID_PROMPT", "type": "no_prompt"}),
    ("empty object", {}, {"code": None, "type": "no_prompt"}),
    ("no prompt", {"client_id": "a"}, {"code": None, "type": "no_prompt"}),
    code="INVALID_JSON",
)
_PROMPT = _prompts(
    "prompt",
    ("null", None),
    ("number", 5),
    ("string", "abc"),
    ("list of nodes", list(graph().values())),
    ("empty list", []),
    ("empty string", ""),
    ("empty", {}, {"code": None, "type": "prompt_no_outputs", "at": ""}),
    ("no output node", {"1": graph()["1"]}, {"code": None, "type": "prompt_no_outputs", "at": ""}),
    code="INVALID_PROMPT",
    at="/prompt",
)
_NODE = _prompts(
    "node",
    ("null", with_node(None)),
    ("number", with_node(5)),
    ("list", with_node([])),
    ("string", with_node("abc")),
    ("string class_type", with_node("class_type")),
    ("empty", with_node({})),
    ("no class_type", with_node({"inputs": {}}), {"code": None, "at": "#9"}),
    ("no class_type, _meta null", with_node({"inputs": {}, "_meta": None})),
    ("class null", with_node({"class_type": None, "inputs": {}}), {"code": None, "at": "#9"}),
    ("class number", with_node({"class_type": 5, "inputs": {}}), {"code": None, "at": "#9"}),
    ("class unknown", with_node({"class_type": "NoSuchNode", "inputs": {}}), {"code": None, "at": "NoSuchNode"}),
    ("class list", with_node({"class_type": ["EmptyImage"], "inputs": {}})),
    ("class object", with_node({"class_type": {"a": 1}, "inputs": {}})),
    code="INVALID_PROMPT",
    at="/prompt/9",
) + _prompts(
    "node",
    ("inputs missing", without("2", "inputs"), {"at": "/prompt/2"}),
    ("inputs null", instead("2", "inputs", None)),
    ("inputs list", instead("2", "inputs", [])),
    ("inputs string", instead("2", "inputs", "abc")),
    ("inputs missing, unreachable", with_node({"class_type": "EmptyImage"}), {"at": "/prompt/9"}),
    code="INVALID_PROMPT",
    at="/prompt/2/inputs",
)
_INPUT = _prompts(
    "input",
    ("required link missing", graph(n3__images=GONE), {"at": "required_input_missing"}),
    ("required value missing", graph(n1__width=GONE), {"at": "required_input_missing"}),
    ("link of length 0", graph(n3__images=[]), {"at": "bad_linked_input"}),
    ("link of length 1", graph(n3__images=["2"]), {"at": "bad_linked_input"}),
    ("link of length 3", graph(n3__images=["2", 0, 0]), {"at": "bad_linked_input"}),
    (
        "wrong type of link",
        {
            **graph(n3__images=["9", 0]),
            "9": {"class_type": "ImageToMask", "inputs": {"image": ["1", 0], "channel": "red"}},
        },
        {"at": "return_type_mismatch"},
    ),
    ("not in the combo", graph(n2__crop="centre"), {"at": "value_not_in_list"}),
    ("INT null", graph(n1__width=None), {"at": "invalid_input_type"}),
    ("INT object", graph(n1__width={"a": 1}), {"at": "invalid_input_type"}),
    ("INT abc", graph(n1__width="abc"), {"at": "invalid_input_type"}),
    ("INT NaN", graph(n1__width=NAN), {"at": "invalid_input_type"}),
    ("INT Infinity", graph(n1__width=INF), {"at": "invalid_input_type"}),
    ("INT above max", graph(n1__width=99_999), {"at": "value_bigger_than_max"}),
    type="prompt_outputs_failed_validation",
)
_LINK = _prompts(
    "link",
    ("to a missing node", graph(n3__images=["77", 0])),
    ("id a number", graph(n3__images=[2, 0])),
    ("id null", graph(n3__images=[None, 0])),
    ("id a list", graph(n3__images=[["2"], 0])),
    ("index out of range", graph(n3__images=["2", 5])),
    ("index text", graph(n3__images=["2", "0"])),
    ("index a half", graph(n3__images=["2", 0.5])),
    ("index 0.0", graph(n3__images=["2", 0.0])),
    ("index null", graph(n3__images=["2", None])),
    ("undeclared, to a missing node", graph(n2__other=["77", 0]), {"at": "/prompt/2/inputs/other"}),
    ("self-loop", graph(n2__image=["2", 0]), {"code": "CYCLE", "at": "/prompt/2/inputs/image"}),
    (
        "cycle of two",
        {**graph(n2__image=["9", 0]), "9": {"class_type": "ImageInvert", "inputs": {"image": ["2", 0]}}},
        {"code": "CYCLE", "at": "dependency_cycle"},
    ),
    code="LINK_INVALID",
    type="prompt_outputs_failed_validation",
    at="/prompt/3/inputs/images",
) + _prompts(
    "link",
    ("index -1", graph(n3__images=["2", -1])),
    ("index false", graph(n3__images=["2", False])),
    ("unreachable, to a missing node", with_node({"class_type": "ImageInvert", "inputs": {"image": ["77", 0]}})),
    (
        "unreachable cycle",
        {
            **graph(),
            "8": {"class_type": "ImageInvert", "inputs": {"image": ["9", 0]}},
            "9": {"class_type": "ImageInvert", "inputs": {"image": ["8", 0]}},
        },
    ),
    status=200,
    ends="success",
)
_LEGAL = _prompts(
    "legal",
    ("undeclared text", graph(n2__other="x")),
    ("undeclared pair of numbers", graph(n2__other=[1, 2])),
    ("undeclared pair of texts", graph(n2__other=["a", "b"])),
    ("undeclared object", graph(n2__other={"a": {"b": []}})),
    ("undeclared null", graph(n2__other=None)),
    ("unreachable combo", with_node({"class_type": "ImageScale", "inputs": {"crop": "no such"}})),
    ("unreachable INT", with_node({"class_type": "EmptyImage", "inputs": {"width": "abc"}})),
    ("INT as text", graph(n1__width="16")),
    ("INT wrapped", graph(n1__width={"__value__": 16})),
    ("text into IMAGE", graph(n3__images="x"), {"ends": "error"}),
    ("number into IMAGE", graph(n3__images=5), {"ends": "error"}),
    ("NaN into FLOAT", blur(NAN), {"ends": None}),
    ("text of 5 MB", graph(n2__other="x" * 5_000_000)),
    ("empty id", {**graph(), "": graph()["1"]}),
    ("dotted id", {**graph(), "1.2": graph()["1"]}),
    ("lone surrogate", graph(n2__other="\ud800")),
    status=200,
    ends="success",
) + _cases(
    "legal",
    ("duplicate ids", b'{"prompt": {"3": 5, ' + json.dumps(graph()).encode()[1:] + b"}"),
    ("content type", {"prompt": graph()}, {"headers": (("Content-Type", "text/plain"),)}),
    status=200,
    ends="success",
)
_DEEP = _prompts(
    "depth",
    ("object in an input", graph(n1__width=nested(900))),
    ("object in an undeclared input", graph(n2__other=nested(900))),
    code="LIMIT_EXCEEDED",
) + _cases(
    "depth", ("object in extra_data", {"prompt": graph(), "extra_data": {"a": nested(900)}}), code="LIMIT_EXCEEDED"
)


def _around(*rows: tuple[Any, ...], **common: Any) -> list[Case]:
    return _cases(
        "around",
        *((row[0], {"prompt": graph(), **row[1]}, *row[2:]) for row in rows),
        **{"code": "INVALID_PROMPT", **common},
    )


_AROUND = (
    _around(
        ("number nan", {"number": "nan"}),
        ("number NaN", {"number": NAN}),
        ("number abc", {"number": "abc"}),
        ("number null", {"number": None}),
        ("number list", {"number": [1]}),
        ("number of 400 digits", {"number": 10**400}),
        at="/number",
    )
    + _cases(
        "around",
        ("number 1e400", b'{"number": 1e400, "prompt": ' + json.dumps(graph()).encode() + b"}"),
        code="INVALID_PROMPT",
        at="/number",
    )
    + _around(
        ("number text", {"number": "3"}),
        ("front text", {"front": "false"}),
        ("prompt_id null", {"prompt_id": None}),
        ("client_id number", {"client_id": 5}),
        ("client_id null", {"client_id": None}),
        status=200,
        code=None,
        ends="success",
    )
    + _around(
        ("extra_data null", {"extra_data": None}),
        ("extra_data list", {"extra_data": []}),
        ("extra_data text", {"extra_data": "x"}),
        ("extra_pnginfo null", {"extra_data": {"extra_pnginfo": None}}),
        ("extra_pnginfo number", {"extra_data": {"extra_pnginfo": 5}}),
        ("extra_pnginfo text", {"extra_data": {"extra_pnginfo": "x"}}),
        ("extra_pnginfo list", {"extra_data": {"extra_pnginfo": []}}),
        ("workflow null", {"extra_data": {"extra_pnginfo": {"workflow": None}}}),
        ("workflow list", {"extra_data": {"extra_pnginfo": {"workflow": []}}}),
        at="/extra_data",
    )
    + _around(
        ("prompt_id number", {"prompt_id": 5}),
        ("prompt_id empty", {"prompt_id": ""}),
        ("prompt_id object", {"prompt_id": {"a": 1}}),
        ("prompt_id text", {"prompt_id": "mine"}),
        code="INVALID_PROMPT_ID",
        type="invalid_prompt_id",
    )
    + _around(
        ("targets number", {"partial_execution_targets": 5}),
        ("targets text", {"partial_execution_targets": "3"}),
        at="/partial_execution_targets",
    )
    + _around(("client_id list", {"client_id": ["a"]}), ("client_id object", {"client_id": {"a": 1}}), at="/client_id")
)
_TWICE = [
    Case("twice", "same number and id", {"prompt": graph(), "number": 5, "prompt_id": PROMPT_ID}, 409, "CONFLICT")
]
_HUGE = [Case("huge", "110 MB", b'{"prompt": "' + b"x" * 110_000_000 + b'"}', 413)]

MALFORMED: list[Case] = [*_BODY, *_PROMPT, *_NODE, *_INPUT, *_LINK, *_LEGAL, *_DEEP, *_AROUND, *_TWICE, *_HUGE]

FURTHER: list[Case] = [
    *_cases("further", ("blank", b" \n"), code="INVALID_JSON"),
    *_cases("further", ("true", b"true"), ("text that says prompt", b'"prompt"'), code="INVALID_PROMPT"),
    *_prompts(
        "further",
        ("prompt true", True),
        ("node true", with_node(True)),
        ("list that says class_type", with_node(["class_type"])),
        ("inputs number", instead("2", "inputs", 5)),
        ("inputs null, unreachable", with_node({"class_type": "EmptyImage", "inputs": None})),
        ("inputs list, unreachable", with_node({"class_type": "EmptyImage", "inputs": []})),
        code="INVALID_PROMPT",
    ),
    *_prompts(
        "further",
        ("combo null", graph(n2__crop=None), {"at": "value_not_in_list"}),
        ("INT -Infinity", graph(n1__width=-INF), {"at": "invalid_input_type"}),
        ("INT below min", graph(n1__width=0), {"at": "value_smaller_than_min"}),
        ("FLOAT abc", blur("abc"), {"at": "invalid_input_type"}),
        ("FLOAT null", blur(None), {"at": "invalid_input_type"}),
    ),
    *_prompts(
        "further",
        ("index -2", graph(n3__images=["2", -2])),
        ("index NaN", graph(n3__images=["2", NAN])),
        ("undeclared, index out of range", graph(n2__other=["1", 3]), {"at": "/prompt/2/inputs/other"}),
        code="LINK_INVALID",
        at="/prompt/3/inputs/images",
    ),
    *_around(("prompt_id upper case", {"prompt_id": PROMPT_ID.replace("1", "A")}), code="INVALID_PROMPT_ID"),
    *_around(
        ("workflow text", {"extra_data": {"extra_pnginfo": {"workflow": "x"}}}), at="/extra_data/extra_pnginfo/workflow"
    ),
]
