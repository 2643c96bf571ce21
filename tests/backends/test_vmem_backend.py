"""The released model's backend end to end, on tiny networks in files of the released formats."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import threading
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn.modules.module import register_module_forward_pre_hook

from tests.support import tiny
from tests.support.fakes import box_photo
from viewer.settings import Settings
from viewer.walk.workspace import Source, Workspace
from vmem.backends import Backend, create_backend, resolve
from vmem.cameras import Cameras
from vmem.devices.devices import placed
from vmem.devices.memory_presets import GIB, NotEnoughMemoryError, choose
from vmem.devices.memory_presets import PRESETS as MEMORY
from vmem.devices.settings import (
    SAMPLERS,
    NetworkSettings,
    NetworkSettingsError,
)
from vmem.errors import BackendError
from vmem.generation.diffusion import generator as vmem
from vmem.generation.diffusion import networks
from vmem.generation.diffusion.checks import NotFiniteError
from vmem.generation.diffusion.codecs.previews import TinyPreview
from vmem.generation.diffusion.codecs.view_code import ViewCode
from vmem.generation.diffusion.generator import DiffusionGenerator, step_seed
from vmem.generation.diffusion.network.unet import MultiviewUNet
from vmem.generation.diffusion.networks import SHARED, use_networks
from vmem.generation.diffusion.sampling.presets import PRESETS
from vmem.progress import Cancelled, CancelToken, Progress, silent
from vmem.session import ConfigError, Session, SessionConfig
from vmem.weights import CheckpointError

SIZE = 64
CONFIG = SessionConfig(target_views=2, context_views=3)
FAST = PRESETS["fast"].steps
PHOTO = box_photo((SIZE, SIZE))
pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> Path:
    """A folder with the three parts as they are released, but tiny."""
    folder = tmp_path_factory.mktemp("released")
    tiny.write_unet(folder / "unet")
    tiny.write_vae(folder / "vae")
    tiny.write_clip(folder / "clip")
    return folder


@pytest.fixture(autouse=True)
def here(files, monkeypatch):
    """The environment of someone who has the weights and asks for the CPU."""
    for name, value in environment(files).items():
        monkeypatch.setenv(name, value)


def environment(files: Path) -> dict[str, str]:
    named = {f"VMEM_{part.upper()}": str(files / part) for part in ("unet", "vae", "clip")}
    own = {"VMEM_CACHE": str(files / "cache"), "VMEM_DEVICE": "cpu", "VMEM_SIZE": str(SIZE)}
    return named | own | {"VMEM_PRESET": "fast"}


def opened(seed: int = 0, **changes) -> Session:
    return Session.open(PHOTO, backend="vmem", seed=seed, config=replace(CONFIG, **changes))


def generator(session: Session) -> DiffusionGenerator:
    assert isinstance(session.backend.generator, DiffusionGenerator)
    return session.backend.generator


def state_of(session: Session) -> tuple:
    """What must not change when a step fails."""
    return session.snapshot(), session.history.head, session.camera


def frames_of(session: Session) -> np.ndarray:
    return np.stack([view.rgb for view in session.snapshot().views])


# --- a walk ----------------------------------------------------------------------------------


def test_forming_frames_are_shown_by_the_tiny_autoencoder_where_it_is(tmp_path, monkeypatch):
    settings = NetworkSettings.from_environment()
    with use_networks(settings, silent, CancelToken()) as networks:
        assert not isinstance(networks.preview, TinyPreview)
    tiny.write_taesd(tmp_path / "taesd")
    monkeypatch.setenv("VMEM_TAESD", str(tmp_path / "taesd"))
    SHARED.unload()
    try:
        with use_networks(settings, silent, CancelToken()) as networks:
            assert isinstance(networks.preview, TinyPreview)
        shown: list[Progress] = []
        session = opened()
        session.move("w", on_progress=shown.append)
        assert any(progress.frames is not None for progress in shown)
    finally:
        SHARED.unload()


def test_a_walk_from_photo_to_memory_and_files(tmp_path):
    session = opened()
    for word in "wwa":
        session.move(word)
    memory = session.snapshot()
    assert [len(r.order) for r in memory.retrievals if r is not None] == [1, 3, 3]
    assert len(memory.views) == 7
    assert len(memory.surfels) > 0
    assert memory.views[0].latents is None
    for view in memory.views[1:]:
        assert view.rgb.shape == (SIZE, SIZE, 3)
        code = ViewCode.from_arrays(view.latents)
        assert code is not None
        assert (code.latent.shape, code.embedding.shape) == ((4, 8, 8), (32,))
        assert np.isfinite(code.latent).all()
        assert code.latent.base is None  # else one view keeps all of its step alive
    assert frames_of(session)[1:].std() > 1
    session.export("walk", tmp_path / "walk")
    assert len(list((tmp_path / "walk" / "frames").iterdir())) == 7


def test_frames_are_what_their_latents_decode_to():
    """Latents are kept as sampled; the embedding is of the unclamped image."""
    session = opened()
    session.move("d")
    with use_networks(generator(session).settings, silent, CancelToken()) as nets:
        for view in session.snapshot().views[1:]:
            code = ViewCode.from_arrays(view.latents)
            assert code is not None
            image = nets.codec.decode(torch.from_numpy(code.latent)[None])
            embedding = nets.embedder.embed(image)[0].numpy()
            shown = np.clip(np.rint((image[0].numpy() + 1) * 127.5), 0, 255)
            assert abs(shown.transpose(1, 2, 0) - view.rgb).max() <= 1
            np.testing.assert_allclose(code.embedding, embedding, atol=1e-4)


def test_equal_walks_are_equal_and_seeds_differ():
    one, two, other = opened(3), opened(3), opened(4)
    for session in (one, two, other):
        session.move("w")
        session.move("w")
    np.testing.assert_array_equal(frames_of(one), frames_of(two))
    assert (frames_of(one)[1:] != frames_of(other)[1:]).mean() > 0.5


def test_noise_differs_by_step_and_by_seed():
    seeds = {step_seed(seed, step) for seed in range(10) for step in range(10)}
    assert len(seeds) == 100
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_undo_and_the_same_step_again_give_the_same_frames():
    session = opened()
    session.move("w")
    session.move("a")
    made = frames_of(session)
    assert session.undo()
    assert len(session.snapshot().views) == 3
    session.move("a")
    np.testing.assert_array_equal(frames_of(session), made)


def test_the_photo_is_encoded_once(monkeypatch):
    session = opened()
    session.move("w")
    with use_networks(generator(session).settings, silent, CancelToken()) as nets:
        monkeypatch.setattr(nets.codec, "encode", None)
    session.move("w")
    retrieval = session.snapshot().retrievals[-1]
    assert retrieval is not None
    assert 0 in retrieval.order


def test_the_context_decides_the_frames():
    one = opened()
    other = Session.open(255 - PHOTO, backend="vmem", config=CONFIG)
    one.move("w")
    other.move("w")
    assert (frames_of(one)[1:] != frames_of(other)[1:]).mean() > 0.2


# --- progress and cancel ---------------------------------------------------------------------


def stages(heard: list[Progress]) -> list[str]:
    return list(dict.fromkeys(progress.stage for progress in heard))


def test_stages_come_in_order_and_frames_form():
    SHARED.unload()
    session = opened()
    heard: list[Progress] = []
    session.move("w", on_progress=heard.append)
    expected = ["retrieve", "weights", "encode", "denoise", "decode", "geometry", "memory"]
    assert stages(heard) == expected
    denoise = [progress for progress in heard if progress.stage == "denoise"]
    assert [progress.done for progress in denoise] == list(range(FAST + 1))
    assert {progress.total for progress in denoise} == {FAST}
    pictures = [progress.frames for progress in heard if progress.frames is not None]
    assert 2 <= len(pictures) <= FAST
    assert denoise[-1].frames is not None
    assert all((p.shape, p.dtype) == ((2, 16, 16, 3), np.uint8) for p in pictures)
    assert (pictures[0] != pictures[-1]).any()
    loading = [progress.done for progress in heard if progress.stage == "weights"]
    assert loading == sorted(loading)

    heard.clear()
    session.move("w", on_progress=heard.append)
    assert "weights" not in stages(heard)


def test_cancel_is_heard_within_one_evaluation(monkeypatch):
    session = opened()
    session.move("w")
    before = state_of(session)
    cancel = CancelToken()
    evaluations = 0
    forward = MultiviewUNet.forward

    def counted(self, *arguments, **named):
        nonlocal evaluations
        evaluations += 1
        return forward(self, *arguments, **named)

    monkeypatch.setattr(MultiviewUNet, "forward", counted)

    def stop(progress: Progress) -> None:
        if (progress.stage, progress.done) == ("denoise", 3):
            cancel.cancel()

    with pytest.raises(Cancelled):
        session.move("a", on_progress=stop, cancel=cancel)
    assert evaluations == 2 * 3  # guidance takes two passes on a CPU, and no fourth step began
    assert state_of(session) == before
    session.move("a")
    assert len(session.snapshot().views) == 5


@pytest.mark.parametrize("stage", ["weights", "encode", "denoise", "decode"])
def test_cancel_in_any_stage_changes_nothing(stage):
    SHARED.unload()
    session = opened()
    before = state_of(session)
    cancel = CancelToken()

    def stop(progress: Progress) -> None:
        if progress.stage == stage:
            cancel.cancel()

    with pytest.raises(Cancelled):
        session.move("w", on_progress=stop, cancel=cancel)
    assert state_of(session) == before


def test_waiting_for_another_walk_can_be_cancelled():
    session = opened()
    cancel = CancelToken()
    heard: list[Progress] = []

    def stop(progress: Progress) -> None:
        heard.append(progress)
        if progress.stage == "waiting for another walk":
            cancel.cancel()

    settings = generator(session).settings
    with use_networks(settings, silent, CancelToken()), pytest.raises(Cancelled):
        session.move("w", on_progress=stop, cancel=cancel)
    assert "waiting for another walk" in stages(heard)
    session.move("w")


# --- failures --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "error",
    [torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"), MemoryError()],
)
def test_out_of_memory_says_what_to_do_and_leaves_the_walk(monkeypatch, error):
    session = opened()
    session.move("w")
    before = state_of(session)

    def full(*arguments, **named):
        raise error

    with monkeypatch.context() as patched:
        patched.setattr(MultiviewUNet, "forward", full)
        with pytest.raises(NotEnoughMemoryError, match="stage 'denoise', nothing was stored"):
            session.move("w")
    assert state_of(session) == before
    session.move("w")
    assert len(session.snapshot().views) == 5


def test_other_defects_keep_their_traceback(monkeypatch):
    session = opened()

    def broken(*arguments, **named):
        raise RuntimeError("a real defect")

    monkeypatch.setattr(MultiviewUNet, "forward", broken)
    with pytest.raises(RuntimeError, match="a real defect"):
        session.move("w")


def test_nan_weights_are_refused_when_they_are_loaded(tmp_path, monkeypatch):
    wrong = {"out.2.bias": torch.tensor([0.0, math.nan, 0.0, 0.0])}
    tiny.write_unet(tmp_path / "unet", change=wrong)
    monkeypatch.setenv("VMEM_UNET", str(tmp_path / "unet"))
    session = opened()
    before = state_of(session)
    with pytest.raises(CheckpointError, match=r"out\.2\.bias holds NaN"):
        session.move("w")
    assert state_of(session) == before


def test_nan_latents_stop_the_step_and_name_the_stage(monkeypatch):
    session = opened()
    before = state_of(session)
    forward = MultiviewUNet.forward

    def spoiled(self, *arguments, **named):
        return forward(self, *arguments, **named) * math.nan

    monkeypatch.setattr(MultiviewUNet, "forward", spoiled)
    with pytest.raises(NotFiniteError, match=f"denoising, step 1 of {FAST}"):
        session.move("w")
    assert state_of(session) == before


def test_a_clip_of_another_width_is_refused(tmp_path, monkeypatch):
    path = tiny.write_unet(tmp_path / "unet")
    config = json.loads((path.parent / "config.json").read_text()) | {"context_dim": 48}
    (path.parent / "config.json").write_text(json.dumps(config))
    net = MultiviewUNet(tiny.UNetConfig.from_dict(config))
    torch.save(net.state_dict(), path)
    monkeypatch.setenv("VMEM_UNET", str(path.parent))
    with pytest.raises(CheckpointError, match="embeddings of 32 numbers, the network reads 48"):
        opened().move("w")


def test_the_wrong_network_is_refused_by_its_keys(tmp_path, monkeypatch):
    path = tiny.write_unet(tmp_path / "unet")
    (path.parent / "config.json").unlink()  # now it claims to be the released one
    monkeypatch.setenv("VMEM_UNET", str(path.parent))
    with pytest.raises(CheckpointError, match="not the weights of the VMem network"):
        opened().move("w")


# --- sizes and slots -------------------------------------------------------------------------


def test_more_views_than_slots_are_never_retrieved():
    session = opened(context_views=12, target_views=4)
    for _ in range(3):
        session.move("w")
    assert [len(r.order) for r in session.snapshot().retrievals if r] == [1, 4, 4]


def test_more_targets_than_slots_are_refused():
    with pytest.raises(ConfigError, match="target_views must be below 8"):
        opened(target_views=8)
    session = opened()
    many = Cameras.stack([session.camera] * 8)
    with pytest.raises(ConfigError, match="8 targets at once leave no slot"):
        session.step(many)


def test_photos_are_opened_at_the_models_size(tmp_path):
    path = tmp_path / "photo.png"
    Image.fromarray(box_photo((100, 140))).save(path)
    session = Session.open(path, backend="vmem", size=288)
    assert session.camera.hw == (SIZE, SIZE)
    with pytest.raises(BackendError, match="makes frames of 64 by 64 pixels"):
        Session.open(box_photo((96, 96)), backend="vmem")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"preset": "best"}, "unknown preset 'best': use one of reference, balanced, fast"),
        ({"memory": "8gb"}, "unknown memory"),
        ({"device": "tpu"}, "unknown device"),
        ({"size": 100}, "use 576, or 128"),
        ({"size": 4096}, "use 576, or 1024"),
        ({"cfg": math.nan}, "cfg must be between"),
        ({"rule": "mine"}, "unknown rule"),
    ],
)
def test_settings_are_checked(changes, message):
    with pytest.raises(NetworkSettingsError, match=message):
        NetworkSettings(**changes)


def test_settings_from_the_environment():
    given = {"VMEM_COMPILE": "yes", "VMEM_CFG": "1.5", "VMEM_MEMORY": " 12gb ", "VMEM_PRESET": ""}
    made = NetworkSettings.from_environment(given)
    assert made == NetworkSettings(compile=True, cfg=1.5, memory="12gb")
    for name, value in (("VMEM_COMPILE", "perhaps"), ("VMEM_SIZE", "big")):
        with pytest.raises(NetworkSettingsError, match=name):
            NetworkSettings.from_environment({name: value})


def test_the_lists_of_names_agree():
    assert tuple(PRESETS) == SAMPLERS


def test_the_sampler_can_change_between_steps():
    session = opened()
    session.move("w")
    made = generator(session)
    made.settings = replace(made.settings, preset="balanced")
    heard: list[Progress] = []
    session.move("w", on_progress=heard.append)
    assert "weights" not in stages(heard)
    assert max(p.total for p in heard if p.stage == "denoise") == PRESETS["balanced"].steps


# --- memory presets --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("free", "name"), [(80, "24gb"), (22, "24gb"), (21.9, "16gb"), (15, "16gb"), (11, "12gb")]
)
def test_memory_presets_by_free_memory(free, name):
    assert choose(int(free * GIB)).name == name


def test_too_little_memory_is_refused_unless_insisted():
    with pytest.raises(NotEnoughMemoryError, match=r"8\.0 GiB free.*about 11.*VMEM_MEMORY=12gb"):
        choose(8 * GIB)
    assert choose(8 * GIB, "12gb").name == "12gb"


@pytest.mark.parametrize("name", ["12gb", "16gb"])
def test_networks_that_wait_elsewhere_are_fetched_for_every_use(monkeypatch, name):
    """On a CPU nothing moves, but who is called must have been sent for, and frames are equal."""
    plain = opened()
    plain.move("w")
    SHARED.unload()
    monkeypatch.setattr(networks, "memory_preset", lambda settings, device: MEMORY[name])
    present: set[int] = set()

    @contextmanager
    def sent_for(module, device):
        parts = {id(part) for part in module.modules()} - present
        present.update(parts)
        yield
        present.difference_update(parts)

    monkeypatch.setattr(networks, "placed", sent_for)
    monkeypatch.setattr(vmem, "placed", sent_for)
    called: set[str] = set()

    def check(module, arguments):
        called.add(type(module).__name__)
        assert id(module) in present, type(module)

    session = opened()
    with register_module_forward_pre_hook(check):
        session.move("w")
    SHARED.unload()
    assert {"MultiviewUNet", "Encoder", "Decoder", "CLIPVisionModelWithProjection"} <= called
    difference = np.abs(frames_of(session).astype(int) - frames_of(plain).astype(int))
    assert difference.max() <= 1  # guidance in one pass or two: rounding


def test_placed_brings_tensors_home_whatever_happens():
    layer = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.BatchNorm1d(2))
    home = [(name, id(tensor)) for name, tensor in layer.state_dict(keep_vars=True).items()]

    def stumble() -> None:
        with placed(layer, torch.device("meta")):
            assert all(tensor.is_meta for tensor in layer.state_dict().values())
            raise ValueError("midway")

    with pytest.raises(ValueError, match="midway"):
        stumble()
    after = [(name, id(tensor)) for name, tensor in layer.state_dict(keep_vars=True).items()]
    assert after == home


# --- which backend ---------------------------------------------------------------------------


def test_without_weights_one_screen_says_what_to_do(monkeypatch):
    for part in ("UNET", "VAE", "CLIP"):
        monkeypatch.delenv(f"VMEM_{part}")
    monkeypatch.setenv("HF_HUB_CACHE", "nowhere")
    monkeypatch.setattr("vmem.weights.hub.find", lambda source: None)
    monkeypatch.setenv("VMEM_DEVICE", "auto")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(BackendError) as caught:
        resolve("vmem")
    screen = str(caught.value)
    for wanted in (
        "no NVIDIA GPU",
        "5.06 GB",
        "https://huggingface.co/liguang0115/vmem",
        "hf auth login",
        "python -m vmem weights download all",
        "--backend preview",
        "VMEM_DEVICE=cpu",
    ):
        assert wanted in screen
    lines = screen.splitlines()
    assert len(lines) < 24
    assert max(map(len, lines)) <= 90
    name, why = resolve("auto")
    assert name == "preview"
    assert "weights are not here" in why


def test_a_wrong_place_for_weights_is_named(monkeypatch):
    monkeypatch.setenv("VMEM_VAE", "/no/such/folder/at/all")
    with pytest.raises(BackendError, match="/no/such/folder/at/all"):
        resolve("vmem")


def test_the_cpu_is_used_only_where_it_is_asked_for(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert resolve("vmem") == ("vmem", "on the CPU as asked: expect many minutes a step")
    assert resolve("auto") == ("preview", "no NVIDIA GPU is in reach of torch")
    monkeypatch.setenv("VMEM_DEVICE", "auto")
    with pytest.raises(BackendError, match="no NVIDIA GPU is in reach of torch"):
        resolve("vmem")
    with pytest.raises(BackendError, match="cuda:3: 0 found"):
        resolve("vmem", NetworkSettings(device="cuda:3"))


def test_auto_takes_the_model_where_it_can_run(monkeypatch):
    monkeypatch.setenv("VMEM_DEVICE", "auto")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "a card")
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: 2 * GIB)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (14 * GIB, 24 * GIB))
    name, why = resolve("auto")
    assert name == "vmem"
    assert why.startswith("a card, memory preset 16gb")
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (4 * GIB, 24 * GIB))
    name, why = resolve("auto")
    assert name == "preview"
    assert "6.0 GiB free" in why


def test_the_backend_says_what_it_is():
    made = create_backend("vmem", seed=0, size=288)
    assert isinstance(made, Backend)
    assert (made.frame_size, made.slots, made.aligned_depth) == (SIZE, 8, False)
    assert "not CUT3R" in made.label


# --- the viewer ---


def test_the_viewer_opens_photos_at_the_models_size(tmp_path):
    path = tmp_path / "photo.png"
    Image.fromarray(box_photo((100, 140))).save(path)
    workspace = Workspace(Settings(backend="vmem", size=288, context_views=12))
    ended = threading.Event()
    workspace.listen(lambda event: ended.set() if event.kind in ("finished", "failed") else None)
    try:
        workspace.open(Source("photo", path))
        assert ended.wait(60)
        assert workspace.session is not None
        assert workspace.session.camera.hw == (SIZE, SIZE)
        # Of the 12 asked for, beside 4 targets in 8 slots.
        assert workspace.query(workspace.session.snapshot()).k == 4
    finally:
        workspace.close()


# --- the command line ------------------------------------------------------------------------


def in_a_process(files: Path, cwd: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    root = str(Path(__file__).resolve().parents[2])
    own = {"PYTHONPATH": root, "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, "-m", "vmem", *arguments],
        cwd=cwd,
        env=os.environ | environment(files) | own,
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_walk_from_the_command_line(files, tmp_path):
    photo = tmp_path / "photo.png"
    Image.fromarray(box_photo((96, 128))).save(photo)
    arguments = ["walk", str(photo), "--moves", "w a", "--backend", "vmem", "--json"]
    done = in_a_process(files, tmp_path, *arguments)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert (report["views"], report["steps"], report["backend"]) == (9, 2, "vmem")
    frame = Image.open(tmp_path / "out" / "frames" / "000008.png")
    assert frame.size == (SIZE, SIZE)


def test_doctor_knows_the_weights(files, tmp_path):
    done = in_a_process(files, tmp_path, "doctor")
    assert done.returncode == 0, done.stderr
    for part in ("vmem", "vae", "clip"):
        assert f"ok       {part}: " in done.stdout
    assert "missing  cut3r: " in done.stdout
    assert "ok       vmem: on the CPU as asked" in done.stdout
