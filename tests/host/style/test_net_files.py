"""Model files that are refused, each with a sentence that helps; which files there are to choose from."""

from __future__ import annotations

import contextlib
import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import Tensor

from expeditor.nodes.style.nets.errors import BadModelFile
from expeditor.nodes.style.nets.files import find_file, load_net, stamp, style_files
from expeditor.nodes.style.nets.reading import LARGEST_FILE_BYTES, read_weights
from tests.host.style.literal_nets import Adaptive, ManyStyles, TransformerNet


class Hostile:
    """A pickle that would make a file when it is loaded as such."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return os.mkdir, (str(self.mark),)


def _refused(path: Path) -> str:
    with pytest.raises(BadModelFile) as refusal:
        load_net(path)
    text = str(refusal.value)
    assert path.name in text
    assert str(path.parent) not in text, "where the server keeps its files is nobody's business"
    assert text.endswith(".")
    return text


@pytest.mark.parametrize("how", ["bare", "in an archive", "beside weights"])
def test_a_pickle_with_code_is_refused_and_not_run(how: str, tmp_path: Path) -> None:
    mark, path = tmp_path / "was run", tmp_path / "evil.pth"
    if how == "bare":
        path.write_bytes(pickle.dumps(Hostile(mark)))
    else:
        torch.save(
            {**TransformerNet().state_dict(), "x": Hostile(mark)} if how == "beside weights" else Hostile(mark), path
        )
    assert "plain weights" in _refused(path)
    assert not mark.exists()
    # The same bytes do harm where they are loaded without care: the test can fail.
    with contextlib.suppress(RuntimeError):
        torch.load(path, weights_only=False)
    assert mark.exists()


@pytest.mark.parametrize("share", [0, 0.01, 0.5, 0.999])
@pytest.mark.parametrize("name", ["net.safetensors", "net.pth", "old.pth"])
def test_a_truncated_file_is_refused(name: str, share: float, tmp_path: Path) -> None:
    path, state = tmp_path / name, TransformerNet().state_dict()
    if name.endswith(".pth"):
        torch.save(state, path, _use_new_zipfile_serialization=name != "old.pth")
    else:
        safetensors.torch.save_file(state, path)
    assert load_net(path)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    _refused(path)


@pytest.mark.parametrize("extension", [".pth", ".pt", ".safetensors"])
def test_what_is_no_model_file_is_refused(extension: str, tmp_path: Path) -> None:
    path = tmp_path / f"picture{extension}"
    for content in (b"\x89PNG\r\n\x1a\n" * 100, b"PK\x03\x04" * 40, b"{}", bytes(8), b"\xff" * 64, b"\x80\x02."):
        path.write_bytes(content)
        _refused(path)


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "huge.pth"
    with path.open("wb") as file:
        file.truncate(LARGEST_FILE_BYTES + 1)
    assert "at most 512 MiB" in _refused(path)


def test_an_archive_that_unpacks_to_too_much_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "bomb.pth"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("bomb/data.pkl", "w") as entry:
        for _ in range(LARGEST_FILE_BYTES // 2**24 + 1):
            entry.write(bytes(2**24))
    assert path.stat().st_size < 2**20
    assert "at most 512 MiB" in _refused(path)


def test_a_tensor_that_claims_more_than_it_holds_is_not_copied(tmp_path: Path) -> None:
    path = tmp_path / "wide.pth"
    torch.save({"conv1.conv2d.weight": torch.zeros(1).expand(2**40)}, path)
    assert "more than 512 MiB" in _refused(path)


def test_a_stranger_hears_what_was_expected(tmp_path: Path) -> None:
    path = tmp_path / "lora.safetensors"
    safetensors.torch.save_file({"unet.up.0": torch.zeros(2, 2)}, path)
    text = _refused(path)
    for word in ("unet.up.0", "TransformerNet", "conv1.conv2d.weight", "contract.0.w", "AdaIN", "28.weight"):
        assert word in text


Change = Callable[[dict[str, Tensor]], object]
FAULTS: list[tuple[Change, str]] = [
    (lambda s: s.pop("res3.in2.bias"), "res3.in2.bias is missing"),
    (lambda s: s.update({"in2.weight": torch.ones(5)}), "in2.weight is 5, expected 6"),
    (lambda s: s.update({"conv2.conv2d.weight": torch.ones(6, 5, 3, 3)}), "conv2.conv2d.weight is 6 x 5 x 3 x 3, expected any x 4 x 3 x 3"),
    (lambda s: s.update({"deconv3.conv2d.weight": torch.ones(4, 4, 9, 9)}), "expected 3 x 4 x 9 x 9"),
    (lambda s: s.update({"conv1.conv2d.weight": torch.ones(())}), "is a single number"),
    (lambda s: s.update({"res1.conv1.conv2d.weight": torch.ones(6, 8, 3, 3)}), "expected 8 x 8 x 3 x 3"),
    (lambda s: s.pop("res1.conv1.conv2d.weight"), "no residual blocks"),
    (lambda s: s.update({"in1.weight": torch.full((4,), torch.nan)}), "in1.weight has values that are infinite"),
    (lambda s: s.clear() or s.update({"epoch": torch.tensor(3)}), "no style net that is known"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "complaint"), FAULTS)
def test_what_does_not_fit_is_named(change: Change, complaint: str, tmp_path: Path) -> None:
    path, state = tmp_path / "net.pth", TransformerNet().state_dict()
    change(state)
    torch.save(state, path)
    assert complaint in _refused(path)


def test_norms_of_different_numbers_of_styles_are_refused(tmp_path: Path) -> None:
    path, state = tmp_path / "net.safetensors", ManyStyles(3).state_dict()
    state |= {f"res.2.1.norm.{kind}": torch.ones(2, 8) for kind in ("gamma", "beta")}
    safetensors.torch.save_file(state, path)
    assert "2 and 3 styles" in _refused(path)


def test_a_decoder_without_its_encoder_says_what_is_missing(tmp_path: Path) -> None:
    torch.save(Adaptive().decoder.state_dict(), tmp_path / "decoder.pth")
    text = _refused(tmp_path / "decoder.pth")
    assert "decoder.encoder.safetensors" in text
    assert "vgg_normalised.pth" in text


def test_the_encoder_of_its_own_name_goes_before_the_shared_one(tmp_path: Path) -> None:
    own, shared = Adaptive(), Adaptive()
    torch.save(own.decoder.state_dict(), tmp_path / "dots.pth")
    torch.save(shared.encoder.state_dict(), tmp_path / "vgg_normalised.pth")
    assert torch.equal(load_net(tmp_path / "dots.pth").encoder[3].weight, shared.encoder[9].weight)
    before = stamp(tmp_path / "dots.pth")
    safetensors.torch.save_file(own.encoder.state_dict(), tmp_path / "dots.encoder.safetensors")
    assert torch.equal(load_net(tmp_path / "dots.pth").encoder[3].weight, own.encoder[9].weight)
    assert stamp(tmp_path / "dots.pth") != before, "a net that is kept must be read again now"


def test_eight_bit_weights_are_scaled_by_channel(tmp_path: Path) -> None:
    path, q = tmp_path / "q.safetensors", torch.tensor([[1, -3], [127, -128]], dtype=torch.int8)
    scale, zero = torch.tensor([0.5, 0.25]), torch.tensor([1, -2], dtype=torch.int8)
    safetensors.torch.save_file(
        {"a": q, "a.scale": scale, "a.zero_point": zero, "b": q.clone(), "b.scale": torch.tensor(2.0)}, path
    )
    read = read_weights(path)
    assert torch.equal(read["a"], torch.tensor([[0.0, -2.0], [32.25, -31.5]]))
    assert torch.equal(read["b"], torch.tensor([[2.0, -6.0], [254.0, -256.0]]))
    safetensors.torch.save_file({"a": q, "a.scale": torch.ones(3)}, path)
    with pytest.raises(BadModelFile, match="one per output channel"):
        read_weights(path)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_floats_are_read(dtype: torch.dtype, tmp_path: Path) -> None:
    path = tmp_path / "half.safetensors"
    safetensors.torch.save_file({k: v.to(dtype) for k, v in TransformerNet().state_dict().items()}, path)
    assert {value.dtype for value in load_net(path).state_dict().values()} == {torch.float32}


def test_names_are_those_of_files_in_the_folders_and_nothing_else(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    for path in ("first/b.pth", "second/b.pth", "second/a.safetensors", "second/.hidden.pth", "second/notes.txt"):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).touch()
    for path in ("second/a.encoder.pth", "second/vgg_normalised.pth", "outside.pth", "second/deep/c.pth"):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).touch()
    (second / "folder.pth").mkdir()
    folders = [str(first), str(second), str(tmp_path / "not there")]
    assert style_files(folders) == {"a.safetensors": second / "a.safetensors", "b.pth": first / "b.pth"}
    for name in (
        "../outside.pth",
        "deep/c.pth",
        "deep\\c.pth",
        str(tmp_path / "outside.pth"),
        "",
        ".",
        "b.PTH",
        "b.pth\x00",
    ):
        with pytest.raises(BadModelFile, match=r"there: a\.safetensors, b\.pth\.$"):
            find_file(name, folders)
