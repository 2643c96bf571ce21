"""Random networks: the released sizes to the parameter, and files that say what they need."""

from __future__ import annotations

import shutil
from collections import namedtuple

import pytest
import torch
from safetensors.torch import load_file

from vmem.cli.measure.random_networks import (
    CUT3R_TEXT,
    check_room,
    networks,
    random_state,
    write,
)
from vmem.errors import VMemError
from vmem.geometry.cut3r.config import Cut3rConfig
from vmem.weights import PARTS, read_state

CPU = torch.device("cpu")


def test_the_sizes_are_the_released_ones():
    for name, part in networks(tiny=False).items():
        count = sum(parameter.numel() for parameter in part.empty().parameters())
        assert count == PARTS[name].parameters
        assert count <= part.size / 4 < 1.02 * count
    assert Cut3rConfig.from_text(CUT3R_TEXT) == Cut3rConfig()


@pytest.mark.parametrize("name", ["vmem", "vae", "clip", "cut3r"])
def test_a_file_holds_every_parameter_and_is_as_large_as_was_said(name, tmp_path):
    part = networks(tiny=True)[name]
    path = write(part, tmp_path / name, CPU)
    state = load_file(path)
    expected = part.empty().state_dict()
    assert {n: t.shape for n, t in state.items()} == {n: t.shape for n, t in expected.items()}
    assert sum(tensor.nbytes for tensor in state.values()) == part.size
    again, other = random_state(part, CPU), random_state(part, CPU, 1)
    assert all(torch.equal(tensor, again[n]) for n, tensor in state.items())
    assert not any(torch.equal(t, other[n]) for n, t in state.items() if t.ndim > 1)


def test_a_parameter_with_two_names_is_one():
    state = random_state(networks(tiny=True)["cut3r"], CPU)
    one, other = (
        f"downstream_head.dpt_self.scratch.{n}.weight" for n in ("layer1_rn", "layer_rn.0")
    )
    assert torch.equal(state[one], state[other])


def test_cut3r_says_its_sizes(tmp_path):
    _, meta = read_state(write(networks(tiny=True)["cut3r"], tmp_path / "cut3r", CPU))
    assert Cut3rConfig.from_text(meta["args.model"]).enc_embed_dim == 48


def test_the_room_is_checked_first(tmp_path, monkeypatch):
    parts = networks(tiny=False)
    needed = sum(part.size for part in parts.values()) + parts["vmem"].size
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage(0, 0, int(1.06 * needed)))
    assert check_room(parts, tmp_path) == needed
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage(0, 0, needed))
    with pytest.raises(VMemError, match=r"need 17 GB .* has 16 GB free: make room, let TMPDIR"):
        check_room(parts, tmp_path)
