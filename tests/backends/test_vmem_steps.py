"""Steps of the diffusion generator: progress, samplers, cancel, failures, networks that wait."""

from __future__ import annotations

import json
import math
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn.modules.module import register_module_forward_pre_hook

from tests.support import tiny
from tests.support.released import STEPS, frames_of, generator, opened, stages, state_of
from vmem.devices.memory_presets import PRESETS as MEMORY
from vmem.devices.memory_presets import NotEnoughMemoryError
from vmem.devices.settings import NetworkSettingsError
from vmem.generation import Context
from vmem.generation.diffusion import generator as steps
from vmem.generation.diffusion import networks
from vmem.generation.diffusion.checks import NotFiniteError
from vmem.generation.diffusion.generator import DiffusionGenerator, step_seed
from vmem.generation.diffusion.network.unet import MultiviewUNet
from vmem.generation.diffusion.networks import SHARED, use_networks
from vmem.generation.diffusion.sampling.presets import PRESETS
from vmem.progress import Cancelled, CancelToken, Progress, silent
from vmem.weights import CheckpointError

pytestmark = pytest.mark.usefixtures("one_thread", "released")


# --- progress and samplers -------------------------------------------------------------------


def test_stages_come_in_order_and_frames_form():
    SHARED.unload()
    session = opened()
    reports: list[Progress] = []
    session.move("w", on_progress=reports.append)
    expected = ["retrieve", "weights", "encode", "denoise", "decode", "geometry", "memory"]
    assert stages(reports) == expected
    denoise = [progress for progress in reports if progress.stage == "denoise"]
    assert [progress.done for progress in denoise] == list(range(STEPS + 1))
    assert {progress.total for progress in denoise} == {STEPS}
    pictures = [progress.frames for progress in reports if progress.frames is not None]
    assert 2 <= len(pictures) <= STEPS
    assert denoise[-1].frames is not None
    assert all((p.shape, p.dtype) == ((2, 16, 16, 3), np.uint8) for p in pictures)
    assert (pictures[0] != pictures[-1]).any()
    loading = [progress.done for progress in reports if progress.stage == "weights"]
    assert loading == sorted(loading)

    reports.clear()
    session.move("w", on_progress=reports.append)
    assert "weights" not in stages(reports)


def test_noise_differs_by_step_and_by_seed():
    seeds = {step_seed(seed, step) for seed in range(10) for step in range(10)}
    assert len(seeds) == 100
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_the_sampler_can_change_between_steps(session):
    reports: list[Progress] = []
    targets = session.targets_to(session.camera.c2w)
    session.step(targets, sampler="balanced", on_progress=reports.append)
    assert "weights" not in stages(reports)
    assert max(p.total for p in reports if p.stage == "denoise") == PRESETS["balanced"].steps


def test_a_sampler_asked_for_by_name_is_that_of_the_settings(session):
    made, views = generator(session), session.memory.views
    targets = session.targets_to(session.camera.c2w)

    def frames(sampler: str | None) -> tuple[np.ndarray, int]:
        reports: list[Progress] = []
        made_frames = made.generate(
            Context(views, views[0], 2),
            targets,
            seed=0,
            on_progress=reports.append,
            sampler=sampler,
        )
        return made_frames.rgb, max(p.total for p in reports if p.stage == "denoise")

    own, balanced = frames(None), frames("balanced")
    assert (own[1], balanced[1]) == (STEPS, PRESETS["balanced"].steps)
    assert made.settings.preset == "fast"
    made = DiffusionGenerator(replace(made.settings, preset="balanced"))
    np.testing.assert_array_equal(frames(None)[0], balanced[0])
    np.testing.assert_array_equal(frames("fast")[0], own[0])
    assert made.samplers == tuple(PRESETS)
    with pytest.raises(NetworkSettingsError, match="unknown preset 'best'"):
        frames("best")


# --- cancel ----------------------------------------------------------------------------------


def test_cancel_is_heard_within_one_evaluation(session, monkeypatch):
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
    # A pass a side on a CPU, of which the first evaluation has one, and no fourth step began.
    assert evaluations == 1 + 2 + 2
    assert state_of(session) == before
    session.move("a")
    assert len(session.memory.views) == 5


@pytest.mark.parametrize("stage", ["weights", "encode", "denoise", "decode"])
def test_cancel_in_any_stage_changes_nothing(session, stage):
    if stage == "weights":
        SHARED.unload()
    before = state_of(session)
    cancel = CancelToken()

    def stop(progress: Progress) -> None:
        if progress.stage == stage:
            cancel.cancel()

    with pytest.raises(Cancelled):
        session.move("w", on_progress=stop, cancel=cancel)
    assert state_of(session) == before


def test_waiting_for_another_walk_can_be_cancelled(session):
    cancel = CancelToken()
    reports: list[Progress] = []

    def stop(progress: Progress) -> None:
        reports.append(progress)
        if progress.stage == "waiting for another walk":
            cancel.cancel()

    settings = generator(session).settings
    with use_networks(settings, silent, CancelToken()), pytest.raises(Cancelled):
        session.move("w", on_progress=stop, cancel=cancel)
    assert "waiting for another walk" in stages(reports)
    session.move("w")


# --- failures --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "error",
    [torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"), MemoryError()],
)
def test_out_of_memory_says_what_to_do_and_leaves_the_walk(session, monkeypatch, error):
    before = state_of(session)

    def full(*arguments, **named):
        raise error

    with monkeypatch.context() as patched:
        patched.setattr(MultiviewUNet, "forward", full)
        with pytest.raises(NotEnoughMemoryError, match="stage 'denoise', nothing was stored"):
            session.move("w")
    assert state_of(session) == before
    session.move("w")
    assert len(session.memory.views) == 5


def test_other_defects_keep_their_traceback(session, monkeypatch):
    def broken(*arguments, **named):
        raise RuntimeError("a real defect")

    monkeypatch.setattr(MultiviewUNet, "forward", broken)
    with pytest.raises(RuntimeError, match="a real defect"):
        session.move("w")


def test_nan_weights_are_refused_when_they_are_loaded(session, tmp_path, monkeypatch):
    wrong = {"out.2.bias": torch.tensor([0.0, math.nan, 0.0, 0.0])}
    tiny.write_unet(tmp_path / "unet", change=wrong)
    monkeypatch.setenv("VMEM_UNET", str(tmp_path / "unet"))
    before = state_of(session)
    with pytest.raises(CheckpointError, match=r"out\.2\.bias holds NaN"):
        session.move("w")
    assert state_of(session) == before


def test_nan_latents_stop_the_step_and_name_the_stage(session, monkeypatch):
    before = state_of(session)
    forward = MultiviewUNet.forward

    def spoiled(self, *arguments, **named):
        return forward(self, *arguments, **named) * math.nan

    monkeypatch.setattr(MultiviewUNet, "forward", spoiled)
    with pytest.raises(NotFiniteError, match=f"denoising, step 1 of {STEPS}"):
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


# --- memory presets --------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["offload-all", "offload-codecs"])
def test_networks_that_wait_elsewhere_are_fetched_for_every_use(session, monkeypatch, name):
    """On a CPU nothing moves, but a network that is called must be placed, and frames are equal."""
    plain = frames_of(session)
    SHARED.unload()
    monkeypatch.setattr(networks, "memory_preset", lambda settings, device: MEMORY[name])
    present: set[int] = set()

    @contextmanager
    def noted(module, device):
        parts = {id(part) for part in module.modules()} - present
        present.update(parts)
        yield
        present.difference_update(parts)

    monkeypatch.setattr(networks, "placed", noted)
    monkeypatch.setattr(steps, "placed", noted)
    called: set[str] = set()

    def check(module, arguments):
        called.add(type(module).__name__)
        assert id(module) in present, type(module)

    again = opened()
    with register_module_forward_pre_hook(check):
        again.move("w")
    SHARED.unload()
    assert {"MultiviewUNet", "Encoder", "Decoder", "CLIPVisionModelWithProjection"} <= called
    difference = np.abs(frames_of(again).astype(int) - plain.astype(int))
    assert difference.max() <= 1  # guidance in one pass or two: rounding
