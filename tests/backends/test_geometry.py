"""Which geometry goes with which backend, and a walk by the released model with CUT3R."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.support import tiny
from tests.support.fakes import BoxGeometry, box_backend, box_photo
from vmem.__main__ import Walk
from vmem.backends import Backend, create_backend, registry
from vmem.backends.registry import BACKENDS, BackendRow, Order, geometry_of
from vmem.cli.doctor import report
from vmem.devices.devices import ROOM
from vmem.devices.memory_presets import GIB
from vmem.devices.settings import NetworkSettings
from vmem.errors import BackendError
from vmem.geometry.cut3r import loading
from vmem.geometry.cut3r.config import Cut3rConfig
from vmem.geometry.cut3r.estimator import Cut3rEstimator
from vmem.geometry.cut3r.loading import (
    CONFIG,
    borrowed,
    load_network,
    with_head_sizes,
)
from vmem.geometry.cut3r.network import Cut3r
from vmem.geometry.layout.estimator import LayoutEstimator
from vmem.memory import MemorySnapshot
from vmem.progress import Cancelled, CancelToken, Progress, silent
from vmem.session import Session, SessionConfig
from vmem.weights import CheckpointError, read_state
from vmem.weights.loading import as_safetensors

SIZE = 64
CPU = NetworkSettings(device="cpu", size=SIZE, preset="fast")
pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> Path:
    """A folder with all four parts as they are released, but tiny."""
    folder = tmp_path_factory.mktemp("released")
    tiny.write_unet(folder / "unet")
    tiny.write_vae(folder / "vae")
    tiny.write_clip(folder / "clip")
    tiny.write_cut3r(folder / "cut3r")
    return folder


@pytest.fixture(autouse=True)
def here(files, monkeypatch):
    """The environment of someone who has all weights and asks for the CPU."""
    for part in ("unet", "vae", "clip", "cut3r"):
        monkeypatch.setenv(f"VMEM_{part.upper()}", str(files / part))
    monkeypatch.setenv("VMEM_CACHE", str(files / "cache"))
    monkeypatch.setenv("VMEM_DEVICE", "cpu")
    monkeypatch.setenv("VMEM_SIZE", str(SIZE))
    monkeypatch.setenv("VMEM_PRESET", "fast")
    for variable in ("VMEM_GEOMETRY", "VMEM_DEPTH_ANYTHING"):
        monkeypatch.delenv(variable, raising=False)


@pytest.fixture
def no_weights(monkeypatch):
    """As on a machine without CUT3R's file."""
    monkeypatch.delenv("VMEM_CUT3R")
    monkeypatch.setattr("vmem.weights.hub.find", lambda source: None)


# --- a walk ---


def views_in_state(memory: MemorySnapshot) -> int:
    """Number of views that the newest state has taken in."""
    state = memory.views[-1].geometry_state
    assert state is not None
    return int(state["views"])


def test_a_walk_by_the_released_model_with_cut3r():
    config = SessionConfig(target_views=2, context_views=3)
    stages: list[str] = []
    session = Session.open(
        box_photo((SIZE, SIZE)),
        backend="vmem",
        config=config,
        on_progress=lambda progress: stages.append(progress.stage),
    )
    assert isinstance(session.backend.geometry, Cut3rEstimator)
    assert set(stages) == {"weights", "geometry"}
    for word in "wad":
        assert session.move(word).record.note.startswith("alignment: ")
    memory = session.memory
    assert len(memory.views) == 7
    assert views_in_state(memory) == 7
    assert all(np.isfinite(view.depth).all() for view in memory.views)
    assert len(memory.surfels) > 0
    assert session.undo()
    assert views_in_state(session.memory) == 5


def test_a_walk_by_the_released_model_with_depth_anything(tmp_path, monkeypatch, no_weights):
    tiny.write_depth_anything(tmp_path)
    monkeypatch.setenv("VMEM_DEPTH_ANYTHING", str(tmp_path))
    config = SessionConfig(target_views=2, context_views=3)
    session = Session.open(box_photo((SIZE, SIZE)), backend="vmem", config=config)
    assert session.backend.label.endswith("depth: Depth Anything V2 Small (its weights are here)")
    assert session.backend.aligned_depth
    for word in "wa":
        assert session.move(word).record.note.startswith("alignment: view 0 by ")
    memory = session.memory
    assert len(memory.views) == 5
    assert all(np.isfinite(view.depth).all() for view in memory.views)
    assert session.undo()
    assert len(session.memory.views) == 3


def test_a_walk_from_the_command_line_says_how_views_were_placed(tmp_path, capsys, monkeypatch):
    from PIL import Image

    path = tmp_path / "photo.png"
    Image.fromarray(box_photo((80, 80))).save(path)
    out = tmp_path / "out"
    Walk(path, moves="w", backend="preview", geometry="cut3r", size=96, out=out).run()
    printed = capsys.readouterr().out
    assert "geometry by CUT3R" in printed
    assert "step 1: alignment: view 0 by " in printed


# --- the weights ---


def test_the_file_is_loaded_with_the_sizes_it_states(files):
    network = load_network(CPU, silent, CancelToken())
    assert network.net.config == tiny.tiny_cut3r().config
    wanted = tiny.tiny_cut3r().state_dict()
    for name, tensor in network.net.state_dict().items():
        assert torch.equal(tensor, wanted[name]), name


def test_conversion_keeps_the_text_that_states_the_sizes(files):
    path = as_safetensors(files / "cut3r" / "cut3r_512_dpt_4_64.pth")
    assert path.suffix == ".safetensors"
    state, meta = read_state(path)
    assert meta[CONFIG] == tiny.CUT3R_TEXT
    config = with_head_sizes(Cut3rConfig.from_text(meta[CONFIG]), state)
    assert config == tiny.tiny_cut3r().config


def test_sizes_of_heads_stay_where_the_state_has_none():
    assert with_head_sizes(Cut3rConfig(), {}) == Cut3rConfig()


def test_walks_share_one_network_and_can_stop_waiting_for_it():
    with borrowed(CPU, silent, CancelToken()) as one:
        stages: list[Progress] = []
        cancel = CancelToken()
        cancel.cancel()
        with pytest.raises(Cancelled), borrowed(CPU, stages.append, cancel):
            pass
        assert stages[0].stage == "waiting for another walk"
    with borrowed(CPU, silent, CancelToken()) as other:
        assert other is one
    again = load_network(CPU, silent, CancelToken())
    assert again is not one
    assert again.stamp == one.stamp, "states go on with a network that was loaded again"


def test_half_precision_is_the_decoders_only(monkeypatch):
    network = load_network(replace(CPU, dtype="bfloat16"), silent, CancelToken())
    for name, tensor in network.net.state_dict().items():
        heads = name.startswith("downstream_head.")
        assert tensor.dtype == (torch.float32 if heads else torch.bfloat16), name
    net = network.net
    image = torch.zeros(1, 3, 64, 64)
    state, said = net.step(net.start(), net.encode(image), ("own", "world"))
    assert state.tokens.dtype == torch.bfloat16
    assert said.own_points is not None
    assert said.own_points.dtype == torch.float32
    full = tiny.tiny_cut3r()
    _, wanted = full.step(full.start(), full.encode(image), ("own", "world"))
    assert wanted.own_points is not None
    off = (said.own_points - wanted.own_points).norm() / wanted.own_points.norm()
    assert 0 < off < 0.05


def test_only_with_room_to_spare_the_network_waits_on_the_gpu(monkeypatch):
    """In the preset "resident"; a GPU too small for the generator may still do for this network."""
    gpu = torch.device("cuda", 0)
    free = iter([30 * GIB, 12 * GIB, 4 * GIB])
    monkeypatch.setattr("vmem.devices.devices.free_memory", lambda device: next(free))
    anywhere = replace(CPU, device="auto")
    homes = []
    for _ in range(3):
        ROOM.forget()
        homes.append(loading._home(anywhere, gpu).type)
    ROOM.forget()
    assert homes == ["cuda", "cpu", "cpu"]


def test_a_file_without_settings_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "cut3r_512_dpt_4_64.pth"
    torch.save({"model": Cut3r(tiny.tiny_cut3r().config).state_dict()}, path)
    monkeypatch.setenv("VMEM_CUT3R", str(path))
    with pytest.raises(CheckpointError, match="does not say what sizes"):
        load_network(CPU, silent, CancelToken())


def test_weights_of_nan_are_refused_and_nothing_opens(tmp_path, monkeypatch):
    name = "decoder_embed.weight"
    change = {name: torch.full_like(tiny.tiny_cut3r().state_dict()[name], np.nan)}
    tiny.write_cut3r(tmp_path, change=change)
    monkeypatch.setenv("VMEM_CUT3R", str(tmp_path))
    with pytest.raises(CheckpointError, match="NaN"):
        Session.open(box_photo((SIZE, SIZE)), backend="vmem")


# --- which geometry ---


def test_vmem_takes_cut3r_where_it_is_and_says_so():
    made = create_backend("vmem")
    assert isinstance(made.geometry, Cut3rEstimator)
    assert made.aligned_depth
    assert made.label.endswith("geometry by CUT3R, aligned with the memory (its weights are here)")
    session = Session.open(box_photo((SIZE, SIZE)), backend=made)
    assert session.association.bend_depth


def test_without_weights_vmem_takes_the_layout_and_says_why(no_weights):
    made = create_backend("vmem")
    assert isinstance(made.geometry, LayoutEstimator)
    assert not made.aligned_depth
    assert "not CUT3R (CUT3R: its weights are not here, run `python -m vmem weights" in made.label
    with pytest.raises(BackendError, match=r"CUT3R cannot run here.*--geometry layout"):
        create_backend("vmem", geometry="cut3r")


def test_a_wrong_place_for_weights_is_named(monkeypatch):
    monkeypatch.setenv("VMEM_CUT3R", "/no/such/folder/at/all")
    assert "/no/such/folder/at/all" in geometry_of("vmem")[1]
    with pytest.raises(BackendError, match="/no/such/folder/at/all"):
        geometry_of("vmem", "cut3r")


@pytest.mark.parametrize(
    ("backend", "asked", "means"),
    [
        ("vmem", None, "cut3r"),
        ("vmem", "layout", "layout"),
        ("preview", "auto", "layout"),
        ("preview", "cut3r", "cut3r"),
        ("world", "auto", "exact"),
        ("world", "cut3r", "cut3r"),
    ],
)
def test_what_is_asked_for_and_what_it_means(backend, asked, means):
    assert geometry_of(backend, asked)[0] == means


def test_exact_depth_is_not_replaced_by_a_guess(monkeypatch):
    with pytest.raises(BackendError, match="only cut3r can replace, not layout"):
        create_backend("world", geometry="layout", size=64)
    monkeypatch.setenv("VMEM_GEOMETRY", "layout")
    assert geometry_of("world")[0] == "exact"


def test_a_geometry_of_its_own_is_used_unless_another_is_asked_for(monkeypatch):
    def make(order: Order) -> Backend:
        return box_backend()

    monkeypatch.setitem(BACKENDS, "box", BackendRow(make, (), ()))
    monkeypatch.setattr(registry, "NAMES", (*registry.NAMES, "box"))
    assert geometry_of("box") == ("own", "the backend's own")
    assert isinstance(create_backend("box").geometry, BoxGeometry)
    made = create_backend("box", geometry="layout")
    assert isinstance(made.geometry, LayoutEstimator)
    assert made.label.endswith("not CUT3R (asked for)")


def test_the_environment_speaks_where_nothing_is_asked_for(monkeypatch):
    monkeypatch.setenv("VMEM_GEOMETRY", "layout")
    assert geometry_of("vmem") == ("layout", "asked for")
    assert geometry_of("vmem", "cut3r")[0] == "cut3r"
    monkeypatch.setenv("VMEM_GEOMETRY", "magic")
    with pytest.raises(BackendError, match="unknown geometry 'magic': use one of auto, layout"):
        geometry_of("preview")


def test_cut3r_needs_a_device_that_was_asked_for(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    anywhere = replace(CPU, device="auto")
    name, why = geometry_of("vmem", None, anywhere)
    assert name == "layout"
    assert "VMEM_DEVICE=cpu" in why


def test_doctor_says_which_geometry_and_why(monkeypatch):
    rows = report().splitlines()
    assert "  ok       cut3r: point maps from all frames, aligned with the memory" in rows
    assert "  auto     means cut3r with vmem here (its weights are here)" in rows
    monkeypatch.setenv("VMEM_GEOMETRY", "magic")
    assert "unknown geometry 'magic'" in report()
