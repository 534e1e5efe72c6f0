"""Names of saved files: none outside the folder, none twice."""

from __future__ import annotations

from expeditor.client.records import Output
from expeditor.client.saving import named


def names(*given: str) -> list[str]:
    return [name for _, name in named(tuple(Output("9", each, "image", "/view") for each in given), "00007_")]


def test_two_outputs_of_one_name_get_two_files():
    assert names("a.png", "a.png", "a.png", "b") == ["00007_a.png", "00007_a_2.png", "00007_a_3.png", "00007_b"]
    assert names("b", "b") == ["00007_b", "00007_b_2"]
    assert names("A.png", "a.png") == ["00007_A.png", "00007_a_2.png"], "on some systems they are one"


def test_a_name_never_leads_out_of_the_folder():
    assert names("../../etc/passwd", "..\\..\\evil.exe", "/abs/x.png", "..") == [
        "00007_passwd",
        "00007_evil.exe",
        "00007_x.png",
        "00007_output",
    ]


def test_a_name_is_one_that_every_system_takes():
    assert names("a\0b\x1b.png", "x.png:stream", "\ud800.png", "", " . ") == [
        "00007_a_b_.png",
        "00007_x.png_stream",
        "00007__.png",
        "00007_output",
        "00007_output_2",
    ]
    (bare,) = (name for _, name in named((Output("9", "..", "image", "/view"),)))
    assert bare == "output", "without a prefix, too"
