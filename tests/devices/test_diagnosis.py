"""What is said where torch has no usable GPU, for every machine and build that is told apart."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmem.devices.diagnosis import (
    NO_GPU,
    Diagnosis,
    has_kernels,
    install_torch,
    why_no_apple_gpu,
    why_no_gpu,
    why_no_kernels,
)
from vmem.devices.machine import Build, Card, Machine

CPU = Build("2.13.0+cpu")
CUDA13 = Build("2.13.0+cu130", "13.0", None, ("sm_75", "sm_80", "sm_86", "sm_90", "sm_120"))
CUDA12 = Build("2.13.0+cu126", "12.6", None, ("sm_50", "sm_60", "sm_70", "sm_80", "sm_90"))
ROCM = Build("2.13.0+rocm7.1", None, "7.1", ("gfx90a", "gfx1100"))
RTX4090, RTX5090 = Card("RTX 4090", (8, 9)), Card("RTX 5090", (12, 0))
V100, GTX1080 = Card("Tesla V100", (7, 0)), Card("GTX 1080", (6, 1))
WHEEL = "pip install --force-reinstall torch==2.13.0 --index-url https://download.pytorch.org/whl/"
ANY = "pip install --force-reinstall torch --index-url https://download.pytorch.org/whl/"
"""For indices that lack the version that is here."""


def linux(driver: str = "", *cards: Card, **known) -> Machine:
    return Machine("Linux", driver, cards, device_files=bool(cards), **known)


MACHINES = {
    "old driver": (
        CUDA13,
        linux("550.54.15", RTX4090),
        ("driver 550.54.15 is too old", "CUDA 13.0", "580 or later", "or install", WHEEL + "cu126"),
    ),
    "old driver, read from the system": (
        CUDA13,
        Machine("Linux", "535.129.03", device_files=True),
        ("driver 535.129.03 is too old", "580 or later", WHEEL + "cu126"),
    ),
    "old driver for Blackwell": (
        CUDA13,
        linux("570.86", RTX5090),
        ("570.86 is too old", "580", ANY + "cu128"),
    ),
    "driver from before CUDA 12": (
        CUDA12,
        linux("470.256.02", RTX4090),
        ("470.256.02 is too old", "525 or later", ANY + "cu118"),
    ),
    "driver too old for every build": (
        CUDA13,
        linux("418.40", RTX4090),
        ("418.40 is too old", "update the driver to 580"),
    ),
    "driver and card too old": (
        CUDA13,
        linux("535.1", GTX1080),
        ("535.1 is too old", "another torch with any driver", WHEEL + "cu126"),
    ),
    "driver that torch calls too old": (
        CUDA13,
        linux("580.10", RTX4090),
        ("580.10 is too old", "update the driver to the newest"),
        "The NVIDIA driver on your system is too old (found version 12080)",
    ),
    "CPU build": (
        CPU,
        linux("580.65.06", RTX4090),
        ("RTX 4090 is here", "(2.13.0+cpu) is a CPU build:", WHEEL + "cu130"),
    ),
    "CPU build on Windows": (
        CPU,
        Machine("Windows", "551.23", (RTX4090,)),
        ("RTX 4090 is here", "as PyPI's are on Windows", WHEEL + "cu126"),
    ),
    "CPU build and a driver for none": (
        CPU,
        linux("390.1", RTX4090),
        ("a CPU build", "update its driver 390.1 first"),
    ),
    "CPU build without driver": (
        CPU,
        linux(on_bus=True),
        ("an NVIDIA GPU is here", "a CPU build", "install its driver", WHEEL + "cu130"),
    ),
    "CPU build, no GPU": (CPU, linux(), (NO_GPU,)),
    "ROCm build, NVIDIA": (
        ROCM,
        linux("580.65", RTX4090),
        ("RTX 4090 is here", "for AMD's GPUs (ROCm)", WHEEL + "cu130"),
    ),
    "ROCm build, no GPU": (
        ROCM,
        linux(),
        ("ROCm build (2.13.0+rocm7.1) finds no AMD GPU", "/dev/kfd", "untested"),
    ),
    "container without access": (
        CUDA13,
        Machine("Linux", "580.65", container=True),
        ("this container has no access", "--gpus all", "--nv"),
    ),
    "container without access, driver unseen": (
        CUDA13,
        linux(container=True, on_bus=True),
        ("this container has no access", "--gpus all"),
    ),
    "container, perhaps on a GPU": (
        CUDA13,
        linux(container=True, wsl=True),
        (NO_GPU, "if there is one, start the container with --gpus all"),
    ),
    "WSL": (
        CUDA13,
        linux(wsl=True),
        (f"{NO_GPU} within WSL", "driver of Windows", "580 or later", "wsl --update"),
    ),
    "no driver": (
        CUDA13,
        linux(on_bus=True),
        ("its driver is not loaded", "580 or later", "restart"),
    ),
    "Windows without driver": (
        CUDA12,
        Machine("Windows"),
        (NO_GPU, "install its driver of version 525 or later"),
    ),
    "no GPU": (CUDA13, linux(), (NO_GPU,)),
    "hidden": (
        CUDA13,
        linux("580.65", RTX4090, visible=""),
        ("CUDA_VISIBLE_DEVICES= hides every GPU", "unset it"),
    ),
    "hidden by a number of none": (
        CUDA13,
        linux("580.65", RTX4090, visible="1,0"),
        ("CUDA_VISIBLE_DEVICES=1,0 hides every GPU",),
    ),
    "driver without GPU": (
        CUDA13,
        Machine("Linux", "580.65", device_files=True),
        ("driver 580.65 lists no GPU", "restart the computer"),
    ),
    "after a suspend": (
        CUDA13,
        linux("580.65", RTX4090, visible="0"),
        ("torch cannot start RTX 4090 (CUDA unknown error)", "restart", "suspend"),
        "CUDA unknown error",
    ),
    "Mac": (CPU, Machine("Darwin"), (NO_GPU, "mps", "Apple silicon")),
}


@pytest.mark.parametrize("case", MACHINES.values(), ids=MACHINES)
def test_why_no_gpu(case):
    build, machine, words, *complaint = case
    found = why_no_gpu(build, machine, *complaint)
    for word in words:
        assert word in str(found)
    assert build is CPU or "CPU build" not in str(found)
    assert found.command == next((word for word in words if word.startswith("pip ")), "")
    assert "\n" not in str(found)
    assert len(str(found)) < 450


def test_where_nothing_can_be_mended_nothing_is_proposed():
    for build in (CPU, CUDA12, CUDA13):
        assert why_no_gpu(build, linux()) == Diagnosis(NO_GPU)


def test_why_no_apple_gpu():
    assert "Apple silicon" in str(why_no_apple_gpu(Machine("Darwin")))
    assert "no Mac" in str(why_no_apple_gpu(linux()))


@pytest.mark.parametrize(
    ("capability", "architectures", "runs"),
    [
        ((8, 9), "sm_80 sm_90", True),
        ((8, 6), "sm_89", False),
        ((9, 0), "sm_80 sm_86", False),
        ((7, 0), "sm_75 sm_80", False),
        ((12, 1), "sm_100 sm_120", True),
        ((10, 3), "sm_90 sm_120", False),
        ((13, 0), "sm_120 compute_120", True),
        ((7, 0), "compute_75", False),
        ((9, 0), "sm_90a", True),
        ((9, 1), "sm_90a", False),
        ((10, 3), "sm_100f", True),
        ((11, 0), "compute_100f", False),
        ((7, 0), "", True),
        ((7, 0), "something else", False),
    ],
)
def test_which_kernels_a_card_runs(capability, architectures, runs):
    build = Build("2.13.0", "13.0", None, tuple(architectures.split()))
    assert has_kernels(capability, build) is runs


CAPABILITIES = st.tuples(st.integers(3, 13), st.integers(0, 9))


@given(CAPABILITIES, CAPABILITIES)
def test_compiled_kernels_stay_within_a_major_version_portable_ones_do_not(built, card):
    number = f"{built[0]}{built[1]}"
    compiled = has_kernels(card, Build("", "13.0", None, (f"sm_{number}",)))
    portable = has_kernels(card, Build("", "13.0", None, (f"compute_{number}",)))
    assert compiled == (built[0] == card[0] and built <= card)
    assert portable == (built <= card)


def test_rocm_builds_are_not_judged_by_nvidias_rules():
    assert has_kernels((11, 0), ROCM)


@pytest.mark.parametrize(
    ("card", "driver", "words"),
    [
        (V100, "580.65", ("Tesla V100 (compute capability 7.0) has no kernels", WHEEL + "cu126")),
        (GTX1080, "535.1", ("GTX 1080 (compute capability 6.1)", "sm_75, sm_80", WHEEL + "cu126")),
        (V100, "", (WHEEL + "cu126",)),
        (V100, "470.1", (ANY + "cu118",)),
        (V100, "390.1", ("update the driver",)),
        (Card("Tesla K80", (3, 7)), "470.1", ("too old for any torch",)),
        (Card("a new card", (13, 0)), "610.1", ("install a newer torch",)),
    ],
)
def test_why_no_kernels(card, driver, words):
    found = why_no_kernels(card, CUDA13, driver)
    for word in words:
        assert word in str(found)
    assert bool(found.command) == any(word.startswith("pip ") for word in words)


@given(st.sampled_from(["", "450.1", "525.60", "570.1", "580.65", "610.3"]), CAPABILITIES)
def test_the_torch_that_is_proposed_runs_with_the_driver_and_the_card(driver, capability):
    """Against the release tables, written out once more as the question they answer."""
    command = install_torch(driver, (Card("a card", capability),))
    branch = int(driver.split(".")[0]) if driver else 999
    possible = {
        "cu130": branch >= 580 and (7, 5) <= capability < (13, 0),
        "cu128": branch >= 525 and (7, 5) <= capability < (13, 0),
        "cu126": branch >= 525 and (5, 0) <= capability < (10, 0),
        "cu118": branch >= 450 and (5, 0) <= capability < (10, 0),
    }
    if not command:
        assert not any(possible.values())
    else:
        assert possible[command.rpartition("/")[2]]
    if possible["cu130"]:
        assert command.endswith("cu130")


@pytest.mark.parametrize(
    ("version", "driver", "wanted"),
    [
        ("2.13.0+cu130", "550.1", "torch==2.13.0"),
        ("2.8.1", "550.1", "torch==2.8.1"),
        ("2.15.0+cu132", "550.1", "torch"),
        ("2.8.0+cpu", "580.1", "torch"),
        ("2.9.0+cpu", "580.1", "torch==2.9.0"),
        ("2.7.1", "470.1", "torch==2.7.1"),
        ("2.14.0.dev20260801+cu130", "550.1", "torch"),
        ("2.14.0a0+git1234", "550.1", "torch"),
        ("", "580.1", "torch"),
    ],
)
def test_the_version_stays_where_the_index_has_it(version, driver, wanted):
    assert install_torch(driver, (), version).split()[3] == wanted


def test_of_several_cards_the_newest_decides():
    assert install_torch("580.65", (GTX1080, RTX5090)).endswith("cu130")
    assert install_torch("580.65", (GTX1080, Card("unknown"))).endswith("cu126")
