"""Names of saved files: none outside the folder, none twice."""

from __future__ import annotations

from expeditor.client.records import Output
from expeditor.client.saving import named


def names(*given: str) -> list[str]:
    return [name for _, name in named(tuple(Output("9", each, "image", "/view") for each in given), "00007_")]


def test_two_outputs_of_one_name_get_two_files():
    assert names("a.png", "a.png", "a.png", "b") == ["00007_a.png", "00007_a_2.png", "00007_a_3.png", "00007_b"]
    assert names("b", "b") == ["00007_b", "00007_b_2"]


def test_a_name_never_leads_out_of_the_folder():
    assert names("../../etc/passwd", "..\\..\\evil.exe", "/abs/x.png", "..") == [
        "00007_passwd",
        "00007_evil.exe",
        "00007_x.png",
        "00007_..",
    ]
