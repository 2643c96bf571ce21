"""Reading checkpoints of every released format, refusing the rest, converting once."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.support.checkpoint_fakes import (
    CONSTRUCTOR,
    FORMATS,
    Calls,
    attacks,
    omegaconf_settings,
    tiny_state,
    write_cut3r,
    write_legacy,
    write_safetensors,
    write_vmem,
)
from vmem.progress import Cancelled, CancelToken, Progress
from vmem.weights import CheckpointError, MappedState, as_safetensors, read_state
from vmem.weights import without_module as strip

LINUX = sys.platform == "linux"


@pytest.fixture(autouse=True)
def own_cache(monkeypatch, tmp_path) -> Path:
    monkeypatch.setenv("VMEM_CACHE", str(tmp_path / "own"))
    return tmp_path / "own" / "weights"


def equal(one, other) -> bool:
    return set(one) == set(other) and all(torch.equal(one[name], other[name]) for name in other)


def refusal(path: Path, **options) -> CheckpointError:
    with pytest.raises(CheckpointError) as caught:
        read_state(path, **options)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)
    return caught.value


@pytest.mark.parametrize("name", FORMATS)
def test_every_released_format(name, tmp_path):
    state = tiny_state()
    path = FORMATS[name](tmp_path / name, state)
    read, _ = read_state(path, strip)
    assert equal(read, state)


def test_the_format_is_read_from_the_file_not_its_name(tmp_path):
    state = tiny_state()
    assert equal(read_state(write_legacy(tmp_path / "a.safetensors.bin", state))[0], state)
    assert equal(read_state(write_safetensors(tmp_path / "b.pth", state))[0], state)


def test_every_module_prefix_goes():
    assert strip("module.a.module.b.weight") == "a.b.weight"
    assert strip("modules.weight") == "modules.weight"


def test_two_keys_that_become_one_are_refused(tmp_path):
    path = write_safetensors(tmp_path / "x", {"module.a": torch.ones(2), "a": torch.ones(2)})
    assert "under two names" in str(refusal(path, key_map=strip))


def test_a_key_map_can_leave_tensors_out(tmp_path):
    path = write_safetensors(tmp_path / "x", {"visual.a": torch.ones(2), "text.b": torch.ones(2)})

    def visual(key: str) -> str | None:
        return key.removeprefix("visual.") if key.startswith("visual.") else None

    assert list(read_state(path, visual)[0]) == ["a"]


def test_settings_of_argparse(tmp_path):
    _, meta = read_state(write_cut3r(tmp_path / "c.pth", tiny_state()))
    assert meta == {"args.model": CONSTRUCTOR}


def test_settings_of_omegaconf_without_omegaconf(tmp_path):
    with omegaconf_settings() as settings:
        path = write_cut3r(tmp_path / "c.pth", tiny_state(), settings)
    assert "omegaconf" not in sys.modules
    state, meta = read_state(path)
    assert meta == {"args.model": CONSTRUCTOR}
    assert equal(state, tiny_state())


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("attack", attacks(Path("x")))
def test_a_malicious_pickle_is_refused_and_not_run(tmp_path, attack, zipped):
    mark = tmp_path / "run"
    hostile = attacks(mark)[attack]
    path = tmp_path / "evil.pth"
    whole = {"model": tiny_state(), "args": hostile}
    torch.save(whole, path, _use_new_zipfile_serialization=zipped)
    error = refusal(path)
    assert error.kind == "refused"
    assert "nothing in it was run" in str(error)
    assert not mark.exists()


@pytest.mark.parametrize("attack", attacks(Path("x")))
def test_the_attacks_work_on_a_careless_loader(tmp_path, attack):
    """So that the test above can fail."""
    mark = tmp_path / "run"
    torch.save(attacks(mark)[attack], tmp_path / "evil.pth")
    loaded = torch.load(tmp_path / "evil.pth", weights_only=False)
    if attack == "popen":
        loaded.close()
    assert mark.exists()


def test_names_that_are_let_through_stand_for_nothing(tmp_path):
    """numpy.save in the settings: accepted as an inert object, not called."""
    import numpy as np

    mark = tmp_path / "run.npy"
    path = tmp_path / "c.pth"
    torch.save({"model": tiny_state(), "args": Calls(np.save, str(mark), 1)}, path)
    assert equal(read_state(path)[0], tiny_state())
    assert not mark.exists()
    torch.load(path, weights_only=False)
    assert mark.exists()


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("share", [0.0, 0.002, 0.05, 0.5, 0.9, 0.999])
def test_truncated_files(name, share, tmp_path):
    whole = FORMATS[name](tmp_path / name, tiny_state()).read_bytes()
    path = tmp_path / f"cut-{name}"
    path.write_bytes(whole[: int(len(whole) * share)])
    error = refusal(path)
    assert error.kind == "damaged"
    assert "`python -m vmem weights status`" in str(error)


WRONG = [
    (b"<!DOCTYPE html><html><body>Please log in", "web page"),
    (b"\n <html>", "web page"),
    (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "git lfs pull"),
    (b"these are not weights, whatever the name says", "neither a safetensors nor a torch file"),
]


@pytest.mark.parametrize(("content", "words"), WRONG)
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_files_of_another_kind(tmp_path, content, words, suffix):
    path = tmp_path / f"weights{suffix}"
    path.write_bytes(content)
    error = refusal(path)
    if suffix == ".pth" or "neither" not in words:
        assert words in str(error)
        assert error.kind == "wrong"


def test_pickles_without_weights(tmp_path):
    path = tmp_path / "x.pth"
    torch.save([1, 2], path)
    assert "holds a list" in str(refusal(path))
    torch.save({"epoch": 3, "model": {}}, path)
    assert "holds no weights" in str(refusal(path))
    torch.save(torch.nn.Linear(2, 2), path)
    assert refusal(path).kind == "refused"


def test_no_file(tmp_path):
    assert refusal(tmp_path / "absent.pth").kind == "missing"
    assert refusal(tmp_path).kind == "missing"


def test_a_damaged_file_in_the_hubs_cache_is_to_be_removed(tmp_path):
    blob = tmp_path / "models--a--b" / "blobs" / "abc"
    link = tmp_path / "models--a--b" / "snapshots" / "c0" / "x.pth"
    for path in (blob, link):
        path.parent.mkdir(parents=True)
    blob.write_bytes(b"PK\x03\x04rest is missing")
    link.symlink_to(blob)
    assert f"`rm {blob} {link}`" in str(refusal(link))


def test_hostile_safetensors_headers(tmp_path):
    path = tmp_path / "x.safetensors"
    rows = [
        {"dtype": "F32", "shape": [4], "data_offsets": [-16, 0]},
        {"dtype": "F32", "shape": [4], "data_offsets": [0, 1 << 40]},
        {"dtype": "F32", "shape": [1 << 40], "data_offsets": [0, 1 << 42]},
        {"dtype": "F32", "shape": [-2, -2], "data_offsets": [0, 16]},
        {"dtype": "F99", "shape": [4], "data_offsets": [0, 16]},
        {"dtype": "F32", "shape": "4", "data_offsets": [0, 8]},
        {"shape": [4], "data_offsets": [0, 16]},
        [],
    ]
    for row in rows:
        text = json.dumps({"a": row}).encode()
        path.write_bytes(len(text).to_bytes(8, "little") + text + bytes(64))
        assert refusal(path).kind == "damaged"
    text = json.dumps({"__metadata__": {"vmem.aliases": '{"b": "none"}'}}).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text)
    assert refusal(path).kind == "damaged"


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@given(st.binary(max_size=200), st.integers(0, 400))
def test_nonsense_never_gets_further_than_a_refusal(tmp_path_factory, noise, place):
    folder = tmp_path_factory.mktemp("noise")
    for name, writer in FORMATS.items():
        path = writer(folder / name, {"a": torch.arange(30.0)})
        content = bytearray(path.read_bytes())
        content[place : place + len(noise)] = noise
        path.write_bytes(content)
        with contextlib.suppress(CheckpointError):
            read_state(path)


def test_our_files_are_read_by_the_safetensors_package(tmp_path):
    from safetensors.torch import load_file

    kinds = [torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.uint8]
    kinds += [torch.bool, torch.int8, torch.int16, torch.int32]
    state = {f"t{i}": torch.arange(3 + i).to(kind) for i, kind in enumerate(kinds)}
    state |= {"empty": torch.zeros(0, 4), "one": torch.tensor(2.5), "odd": torch.ones(4, 6).T}
    torch.save(state, tmp_path / "x.pth")
    path = as_safetensors(tmp_path / "x.pth")
    assert equal(load_file(path), state)
    assert equal(MappedState(path), state)


def test_unaligned_tensors_of_others(tmp_path):
    rows = {
        "a": {"dtype": "U8", "shape": [1], "data_offsets": [0, 1]},
        "b": {"dtype": "F32", "shape": [2], "data_offsets": [1, 9]},
    }
    text = json.dumps(rows).encode()
    values = torch.tensor([1.5, -2.0])
    path = tmp_path / "x.safetensors"
    content = len(text).to_bytes(8, "little") + text + b"\x07" + values.numpy().tobytes()
    path.write_bytes(content)
    assert torch.equal(MappedState(path)["b"], values)


def test_writing_to_a_mapped_tensor_leaves_the_file(tmp_path):
    path = write_safetensors(tmp_path / "x", {"a": torch.ones(3)})
    MappedState(path)["a"].fill_(7)
    assert torch.equal(MappedState(path)["a"], torch.ones(3))


def test_conversion_keeps_aliases_one(tmp_path):
    path = as_safetensors(write_cut3r(tmp_path / "c.pth", tiny_state()))
    state, meta = read_state(path)
    assert isinstance(state, MappedState)
    assert equal(state, tiny_state())
    assert state["layer1_rn.weight"].data_ptr() == state["layer_rn.0.weight"].data_ptr()
    assert meta["args.model"] == CONSTRUCTOR


def test_conversion_happens_once(tmp_path, own_cache):
    source = write_vmem(tmp_path / "v.pth", tiny_state())
    seen: list[Progress] = []
    path = as_safetensors(source, strip, on_progress=seen.append)
    assert path.parent == own_cache
    assert seen[-1].done == seen[-1].total == path.stat().st_size
    inode = path.stat().st_ino
    assert as_safetensors(source, strip) == path
    assert path.stat().st_ino == inode
    assert as_safetensors(source) != path


def test_safetensors_need_no_conversion(tmp_path, own_cache):
    path = write_safetensors(tmp_path / "s.safetensors", tiny_state())
    assert as_safetensors(path) == path
    assert not own_cache.exists()


def test_a_changed_source_is_converted_anew(tmp_path):
    source = write_vmem(tmp_path / "v.pth", tiny_state())
    path = as_safetensors(source, strip)
    write_vmem(source, tiny_state(1))
    assert as_safetensors(source, strip) == path
    assert equal(MappedState(path), tiny_state(1))
    os.utime(source, (1, 1))
    inode = path.stat().st_ino
    as_safetensors(source, strip)
    assert path.stat().st_ino != inode


def test_a_new_revision_replaces_the_conversion_of_the_old(tmp_path, own_cache):
    for seed, commit in enumerate(("aaaa", "bbbb")):
        folder = tmp_path / "models--o--r" / "snapshots" / commit
        folder.mkdir(parents=True)
        path = as_safetensors(write_vmem(folder / "v.pth", tiny_state(seed)), strip)
        assert equal(MappedState(path), tiny_state(seed))
        assert json.loads(MappedState(path).metadata["vmem.source"])["revision"] == commit
    assert len(list(own_cache.glob("*.safetensors"))) == 1


@pytest.mark.parametrize("kept", [0, 5, 400, -1])
def test_a_damaged_conversion_is_made_again(tmp_path, kept):
    source = write_vmem(tmp_path / "v.pth", tiny_state())
    path = as_safetensors(source, strip)
    path.write_bytes(path.read_bytes()[:kept])
    assert equal(MappedState(as_safetensors(source, strip)), tiny_state())


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.suffix != ".lock")


def test_cancel_leaves_nothing(tmp_path, own_cache):
    token = CancelToken()
    source = write_vmem(tmp_path / "v.pth", tiny_state())
    with pytest.raises(Cancelled):
        as_safetensors(source, strip, on_progress=lambda _: token.cancel(), cancel=token)
    assert files(own_cache) == []


def test_a_full_disk_leaves_nothing(tmp_path, own_cache):
    source = write_vmem(tmp_path / "v.pth", {"a": torch.ones(50, 1000), "b": torch.ones(1000)})
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(CheckpointError, match=r"disk is full.*VMEM_CACHE") as caught:
            as_safetensors(source, strip)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert caught.value.kind == "disk"
    assert files(own_cache) == []
    assert as_safetensors(source, strip).is_file()


def test_too_small_a_disk_is_noticed_beforehand(tmp_path, own_cache, monkeypatch):
    import collections
    import shutil

    usage = collections.namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage(10, 10, 0))
    with pytest.raises(CheckpointError, match="more do not fit") as caught:
        as_safetensors(write_vmem(tmp_path / "v.pth", tiny_state()))
    assert caught.value.kind == "disk"
    assert files(own_cache) == []


def test_a_cache_that_cannot_be_made(tmp_path, monkeypatch):
    (tmp_path / "taken").write_text("")
    monkeypatch.setenv("VMEM_CACHE", str(tmp_path / "taken"))
    with pytest.raises(CheckpointError, match=r"cannot write in .*VMEM_CACHE"):
        as_safetensors(write_vmem(tmp_path / "v.pth", tiny_state()))


@pytest.mark.skipif(not LINUX, reason="kills a process")
def test_a_killed_conversion_leaves_no_file_for_long(tmp_path, own_cache):
    source = write_vmem(tmp_path / "v.pth", tiny_state())
    code = (
        "import os, signal, sys; from vmem.weights import as_safetensors as a;"
        "a(sys.argv[1], on_progress=lambda _: os.kill(os.getpid(), signal.SIGKILL))"
    )
    root = str(Path(__file__).resolve().parents[2])
    environment = os.environ | {"PYTHONPATH": root}
    killed = subprocess.run([sys.executable, "-c", code, str(source)], env=environment, check=False)
    assert killed.returncode == -signal.SIGKILL
    (left,) = files(own_cache)
    assert left.endswith(".part")
    path = as_safetensors(source)
    assert files(own_cache) == [path.name]
    assert len(MappedState(path)) == len(tiny_state())


def test_two_conversions_at_once(tmp_path, own_cache):
    source = write_vmem(tmp_path / "v.pth", tiny_state())
    paths: list[Path] = []

    def convert() -> None:
        paths.append(as_safetensors(source, strip))

    work = [threading.Thread(target=convert) for _ in range(2)]
    for thread in work:
        thread.start()
    for thread in work:
        thread.join()
    assert len(set(paths)) == 1
    assert equal(MappedState(paths[0]), tiny_state())
