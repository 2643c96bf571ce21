"""Network settings, memory presets by free memory, and modules placed on a device for a while."""

from __future__ import annotations

import math

import pytest
import torch

from vmem.devices.devices import placed
from vmem.devices.memory_presets import GIB, NotEnoughMemoryError, choose
from vmem.devices.memory_presets import PRESETS as MEMORY_PRESETS
from vmem.devices.settings import MEMORY, SAMPLERS, NetworkSettings, NetworkSettingsError
from vmem.generation.diffusion.sampling.presets import PRESETS


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"preset": "best"}, "unknown preset 'best': use one of reference, balanced, fast"),
        ({"memory": "8gb"}, "unknown memory"),
        ({"dtype": "half"}, "unknown dtype 'half': use one of auto, float16"),
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
    assert made == NetworkSettings(compile=True, cfg=1.5, memory="offload-all")
    for name, value in (("VMEM_COMPILE", "perhaps"), ("VMEM_SIZE", "big")):
        with pytest.raises(NetworkSettingsError, match=name):
            NetworkSettings.from_environment({name: value})


def test_the_lists_of_names_agree():
    assert tuple(PRESETS) == SAMPLERS
    assert ("auto", *MEMORY_PRESETS) == MEMORY


@pytest.mark.parametrize(
    ("free", "name"),
    [
        (80, "resident"),
        (13, "resident"),
        (12.9, "offload-codecs"),
        (8, "offload-codecs"),
        (6, "offload-all"),
    ],
)
def test_memory_presets_by_free_memory(free, name):
    assert choose(int(free * GIB)).name == name


def test_too_little_memory_is_refused_unless_insisted():
    with pytest.raises(
        NotEnoughMemoryError, match=r"5\.0 GiB free.*about 6.*VMEM_MEMORY=offload-all"
    ):
        choose(5 * GIB)
    assert choose(5 * GIB, "12gb").name == "offload-all"


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
