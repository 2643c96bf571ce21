"""Each section on tiny random networks: what it measures, and what it finds broken."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from tests.support import released
from vmem.cli.measure import precision as precision_section
from vmem.cli.measure import steps as steps_section
from vmem.cli.measure.bench import Bench, Stages
from vmem.cli.measure.machine import SHAPES, attention, hardware, machine, versions
from vmem.cli.measure.precision import LEVELS, geometry, precision
from vmem.cli.measure.record import Row
from vmem.cli.measure.runner import Limit, TimeUp
from vmem.cli.measure.speed import speed
from vmem.cli.measure.steps import cancelling, recovery, steps, walks
from vmem.devices.recovery import DeviceLostError
from vmem.errors import VMemError
from vmem.generation.diffusion.codecs.codecs import ImageCodec
from vmem.generation.diffusion.generator import DiffusionGenerator
from vmem.generation.diffusion.sampling.presets import PRESETS
from vmem.progress import Progress
from vmem.session import Session

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def exact_geometry(monkeypatch) -> None:
    """Walks with the depth of a box and few evaluations a step, for tests that are about neither
    CUT3R nor frames."""

    def opened(bench: Bench, listener: Any = None, **settings: Any) -> Session:
        session = released.opened()
        generator = DiffusionGenerator(bench.settings(**settings))
        session.backend = replace(session.backend, generator=generator)
        (listener or Stages(bench))(Progress("geometry", 0, 1))
        return session

    few = replace(PRESETS["fast"], steps=3)
    monkeypatch.setitem(PRESETS, "fast", few)
    monkeypatch.setenv("VMEM_DEVICE", "cpu")
    monkeypatch.setenv("VMEM_SIZE", str(released.SIZE))
    monkeypatch.setattr(steps_section, "opened", opened)


def by_name(rows) -> dict[str, Row]:
    found = {}
    for row in rows:
        assert row.name not in found
        found[row.name] = row
    return found


def number(row: Row, name: str) -> float:
    value = row.values[name]
    assert isinstance(value, int | float)
    return value


def before_decoding(monkeypatch, call: Callable[[torch.Tensor, ImageCodec], None]) -> None:
    """Have ``call`` before frames are decoded; not while loading fits the colours of previews."""
    decode = ImageCodec.decode

    def decoded(self: ImageCodec, latents: torch.Tensor, **options: Any) -> torch.Tensor:
        if latents.shape[-1] == released.SIZE // 8:
            call(latents, self)
        return decode(self, latents, **options)

    monkeypatch.setattr(ImageCodec, "decode", decoded)


def test_machine_and_attention_need_no_weights():
    bench = Bench(torch.device("cpu"), True, None, Limit(np.inf))  # type: ignore[arg-type]
    assert by_name(machine(bench))["precision"].values["auto"] == "float32"
    rows = by_name(attention(bench))
    assert len(rows) == len(SHAPES)
    assert all(number(row, "torch's choice ms") > 0 for row in rows.values())
    assert versions()["torch"] == torch.__version__
    assert hardware(bench.device)["cores"]


@pytest.mark.usefixtures("exact_geometry")
def test_steps_are_timed_by_stage_and_the_same_again(bench):
    rows = by_name(steps(bench))
    stages = [name.split(": ")[1] for name in rows if name.startswith("resident auto, move 1: ")]
    assert stages == ["retrieve", "weights", "encode", "denoise", "decode", "geometry", "memory"]
    assert "resident auto, move 2: weights" not in rows
    for part in ("open", "move 1", "move 2", "move 2 again"):
        parts = [row for name, row in rows.items() if name.startswith(f"resident auto, {part}: ")]
        assert sum(number(row, "s") for row in parts) <= number(rows[f"resident auto, {part}"], "s")
    frames = rows["resident auto, frames"]
    found = frames.values
    assert (found["latents finite"], found["again off by, of 255"]) == (True, 0)
    assert number(frames, "deviation of 255") > 1


@pytest.mark.every
@pytest.mark.usefixtures("exact_geometry")
def test_a_step_that_fails_is_told_with_the_stage_it_came_to(bench, monkeypatch):
    def broken(latents: torch.Tensor, codec: ImageCodec) -> None:
        raise torch.OutOfMemoryError("no room")

    before_decoding(monkeypatch, broken)
    *_, last, failed = steps(bench)
    assert last.name == "resident auto, move 1: decode"
    assert failed.name == "resident auto, move 1"
    assert str(failed.values["error"]).startswith("NotEnoughMemoryError: memory ran out in stage")


@pytest.mark.every
@pytest.mark.usefixtures("exact_geometry")
def test_a_step_works_after_trouble(bench):
    rows = by_name(recovery(bench))
    assert "only tried" in str(rows["out of memory"].values["error"])
    assert rows["the step after"].values["views"] == 5
    rows = by_name(cancelling(bench))
    assert rows["cancelled in its second evaluation"].values["views kept"] is True
    assert rows["the step after"].values["views"] == 5


@pytest.mark.every
@pytest.mark.usefixtures("exact_geometry")
def test_two_walks_wait_for_each_other(bench):
    rows = by_name(walks(bench))
    assert list(rows) == ["one after the other", "at once"]
    assert all(number(row, "s") > 0 for row in rows.values())


def test_half_precision_is_near_float32_and_float16_nearer(bench):
    rows = by_name(precision(bench))
    for quantity in (*(f"evaluation at level {i}" for i in LEVELS), "VAE, decoded", "CLIP"):
        near, far = (rows[f"{kind}: {quantity}"] for kind in ("float16", "bfloat16"))
        assert 0 < 2 * number(near, "rms of std") < number(far, "rms of std") < 0.1
        assert near.values["finite"]


def test_a_vae_that_overflows_is_told_and_the_rest_goes_on(bench, monkeypatch):
    def broken(latents: torch.Tensor, codec: ImageCodec) -> None:
        if codec.dtype == torch.float16:
            raise VMemError("images decoded from latents: not finite")

    before_decoding(monkeypatch, broken)
    monkeypatch.setattr(precision_section, "HALVES", ("float16",))
    monkeypatch.setattr(precision_section, "LEVELS", (600,))
    rows = by_name(precision(bench))
    assert "not finite" in str(rows["float16: VAE, decoded"].values["error"])
    assert "rms of std" in rows["float16: CLIP"].values


@pytest.mark.every
def test_cut3r_by_precision(bench, monkeypatch):
    monkeypatch.setattr(precision_section, "VIEWS", 2)
    rows = by_name(geometry(bench))
    kinds = "float32", "float16", "bfloat16"
    exact, near, far = (number(rows[kind], "median depth off") for kind in kinds)
    assert 0 == exact < near < far < 0.1


def test_one_evaluation_under_every_setting(bench):
    rows = by_name(speed(bench))
    assert [rows[n].values["passes"] for n in ("as it is", "guidance the other way")] == [2, 1]
    for row in rows.values():
        per_second = 1e3 * number(row, "TFLOP") / number(row, "ms")
        assert number(row, "TFLOP/s") == pytest.approx(per_second)
    assert not torch.backends.cudnn.benchmark


def test_an_error_is_a_row_but_a_lost_device_or_lost_time_ends_the_section(bench):
    def fail(error: Exception):
        def measure() -> Any:
            raise error

        return measure

    row = bench.attempt("x", fail(RuntimeError("no kernel\nhere")))
    assert row.values == {"error": "RuntimeError: no kernel here"}
    for error in (DeviceLostError("gone"), RuntimeError("CUDA error: unknown error"), TimeUp()):
        with pytest.raises(type(error)):
            bench.attempt("x", fail(error))


def test_a_step_ends_when_its_time_is_over(bench):
    late = replace(bench, limit=Limit(0.0))
    with pytest.raises(TimeUp):
        Stages(late)(Progress("denoise", 1, 10))
    with pytest.raises(TimeUp):
        late.milliseconds(lambda: None)
