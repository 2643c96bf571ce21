"""Which device is picked, on machines whose GPUs are pretended by torch's answers."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import pytest
import torch

from tests.support.gpu_answers import BUILD, MACHINE, Gpu, pretend
from vmem.devices.devices import ROOM, DeviceError, free_memory, missing_gpu, pick_device


@pytest.fixture
def machine_with(monkeypatch):
    """A function that makes torch speak of these GPUs."""
    yield partial(pretend, monkeypatch)
    ROOM.forget()


@pytest.mark.parametrize(
    ("gpus", "index"),
    [
        ((Gpu(),), 0),
        ((Gpu(free=4), Gpu(free=20), Gpu(free=9)), 1),
        ((Gpu((6, 1), 20), Gpu((8, 6), 9)), 1),
        ((Gpu(free=-1), Gpu(free=3)), 1),
    ],
)
def test_auto_takes_the_emptiest_that_can_compute(machine_with, gpus, index):
    machine_with(*gpus)
    assert pick_device("auto") == torch.device("cuda", index)


@pytest.mark.parametrize("asked", ["auto", "cuda", "cuda:0"])
def test_a_card_without_kernels_is_refused_before_anything_is_loaded(machine_with, asked):
    machine_with(Gpu((7, 0)))
    with pytest.raises(DeviceError, match=r"card 0 \(compute capability 7\.0\).*whl/cu126"):
        pick_device(asked)


def test_one_card_without_kernels_leaves_the_other(machine_with):
    machine_with(Gpu((7, 0)), Gpu())
    assert pick_device("cuda:1") == torch.device("cuda", 1)
    with pytest.raises(DeviceError, match="card 0"):
        pick_device("cuda:0")


def test_a_build_that_does_not_say_what_it_is_for_is_believed(machine_with):
    machine_with(Gpu((3, 0)), build=replace(BUILD, architectures=()))
    assert pick_device("auto") == torch.device("cuda", 0)


def test_a_number_that_no_gpu_has(machine_with):
    machine_with(Gpu(), Gpu())
    with pytest.raises(DeviceError, match="as cuda:2: there is cuda:0, cuda:1"):
        pick_device("cuda:2")


@pytest.mark.parametrize("asked", ["auto", "cuda", "cuda:1"])
def test_without_a_gpu_the_reason_is_said(machine_with, asked):
    machine_with(machine_here=replace(MACHINE, driver="535.1"))
    with pytest.raises(DeviceError, match=r"driver 535\.1 is too old") as caught:
        pick_device(asked)
    assert caught.value.diagnosis == missing_gpu()


def test_apples_gpu(machine_with):
    machine_with(mps=True)
    assert pick_device("auto") == pick_device("mps") == torch.device("mps", 0)
    machine_with()
    with pytest.raises(DeviceError, match="no Mac"):
        pick_device("mps")


def test_a_full_gpu_has_nothing_free(machine_with):
    machine_with(Gpu(free=-1))
    assert free_memory(torch.device("cuda", 0)) == 0
