"""Loading into networks: strict, finite, cast one tensor at a time."""

from __future__ import annotations

import io
import json
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from tests.support.checkpoint_fakes import Tiny, tiny_state, write_cut3r, write_safetensors
from vmem.progress import Cancelled, CancelToken, Progress
from vmem.weights import CheckpointError, MappedState, as_safetensors, load_strict


def on_meta() -> Tiny:
    with torch.device("meta"):
        return Tiny()


@pytest.fixture
def mapped(tmp_path, monkeypatch) -> MappedState:
    monkeypatch.setenv("VMEM_CACHE", str(tmp_path / "own"))
    return MappedState(as_safetensors(write_cut3r(tmp_path / "c.pth", tiny_state())))


def refusal(state, module: nn.Module | None = None, **options) -> CheckpointError:
    """The error of a load, which must leave the module as it was."""
    module = module or Tiny()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    with pytest.raises(CheckpointError) as caught:
        load_strict(module, state, what="the tiny network", **options)
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
    assert "\n" not in str(caught.value)
    assert "the tiny network" in str(caught.value)
    return caught.value


def test_every_tensor_arrives(mapped):
    net = on_meta()
    seen: list[Progress] = []
    load_strict(net, mapped, what="tiny", on_progress=seen.append)
    for name, value in tiny_state().items():
        assert torch.equal(net.state_dict()[name], value)
    assert seen[-1].done == seen[-1].total == len(tiny_state()) - 1  # two names, one tensor


def test_without_a_cast_the_weights_stay_mapped(mapped):
    net = on_meta()
    load_strict(net, mapped, what="tiny")
    assert net.first.weight.data_ptr() == mapped["first.weight"].data_ptr()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
@pytest.mark.parametrize("module", [Tiny, on_meta])
def test_casts(mapped, dtype, module):
    net = module()
    load_strict(net, mapped, what="tiny", dtype=dtype)
    for name, value in tiny_state().items():
        wanted = value.to(dtype) if value.is_floating_point() else value
        assert torch.equal(net.state_dict()[name], wanted)
        assert net.state_dict()[name].dtype == wanted.dtype
    assert net.norm.num_batches_tracked.dtype == torch.int64


def test_without_a_dtype_it_is_the_modules_own(tmp_path):
    half = {name: value.half() for name, value in tiny_state().items()}
    half["norm.num_batches_tracked"] = torch.tensor(3)
    net = on_meta()
    load_strict(net, MappedState(write_safetensors(tmp_path / "h", half)), what="tiny")
    assert net.first.weight.dtype == torch.float32
    assert torch.equal(net.first.weight, half["first.weight"].float())


@pytest.mark.parametrize("absent", [None, "layer1_rn.weight", "layer_rn.0.weight"])
def test_tied_tensors_stay_one_parameter(mapped, absent):
    net = on_meta()
    state = {name: value for name, value in mapped.items() if name != absent}
    load_strict(net, state, what="tiny", dtype=torch.bfloat16)
    assert net.layer1_rn.weight is net.layer_rn[0].weight
    assert torch.equal(net.layer1_rn.weight, tiny_state()["layer1_rn.weight"].bfloat16())
    assert all(parameter.requires_grad for parameter in net.parameters())


def test_tied_tensors_that_differ_are_refused():
    state = tiny_state() | {"layer_rn.0.weight": torch.zeros(16, 16)}
    assert "layer1_rn.weight and layer_rn.0.weight are one tensor" in str(refusal(state))


def test_missing_extra_and_misshapen_keys_are_named():
    state = tiny_state()
    del state["first.bias"]
    state |= {f"extra.{i}": torch.zeros(1) for i in range(5)}
    state["first.weight"] = state["first.weight"].T.contiguous()
    text = str(refusal(state))
    for words in (
        "not the weights of the tiny network (13 keys, where 9 are expected)",
        "1 of its keys are missing: first.bias",
        "5 keys are not its own: extra.0, extra.1, extra.2, …",
        "first.weight is [24, 16] where [16, 24] is expected",
        "`python -m vmem weights status`",
    ):
        assert words in text


@given(st.integers(0, 30))
def test_keys_of_others_are_left_out_unless_they_are_most_of_the_file(count):
    state = tiny_state()
    own = len(state)
    whole = state | {f"optimizer.{i}": torch.zeros(1) for i in range(count)}
    net, said = Tiny(), io.StringIO()
    handler = logging.StreamHandler(said)
    logging.getLogger("vmem.weights.loading").addHandler(handler)
    try:
        if count > own:
            assert f"{count} keys are not its own: optimizer.0" in str(refusal(whole))
            return
        load_strict(net, whole, what="the tiny network")
    finally:
        logging.getLogger("vmem.weights.loading").removeHandler(handler)
    assert all(torch.equal(net.state_dict()[name], value) for name, value in state.items())
    assert ("keys are not the tiny network's own" in said.getvalue()) is bool(count)
    assert ("left out: optimizer.0" in said.getvalue()) is bool(count)
    assert ("optimizer.3" in said.getvalue()) is False


def test_keys_of_others_excuse_no_key_that_is_missing():
    state = tiny_state() | {"optimizer": torch.zeros(1)}
    del state["first.bias"]
    assert "1 of its keys are missing: first.bias" in str(refusal(state))
    state = tiny_state() | {"optimizer": torch.zeros(1), "first.bias": torch.zeros(3)}
    assert "1 have another shape: first.bias is [3]" in str(refusal(state))


def test_another_networks_file_is_refused_in_one_line():
    text = str(refusal({f"block.{i}.weight": torch.zeros(2) for i in range(1000)}))
    assert len(text) < 600


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_numbers_that_are_none(bad):
    state = tiny_state()
    state["norm.running_var"][7] = bad
    error = refusal(state)
    assert error.kind == "damaged"
    assert "norm.running_var holds NaN or infinite numbers" in str(error)


def test_numbers_too_large_for_half_precision():
    state = tiny_state()
    state["first.weight"][0, 0] = 1e6
    text = str(refusal(state, dtype=torch.float16))
    assert "first.weight of the tiny network has numbers too large for float16" in text
    load_strict(Tiny(), state, what="tiny", dtype=torch.bfloat16)


def test_cancel_leaves_the_network_as_it_was(mapped):
    net, token = Tiny(), CancelToken()
    before = net.first.weight
    with pytest.raises(Cancelled):
        load_strict(net, mapped, what="t", on_progress=lambda _: token.cancel(), cancel=token)
    assert net.first.weight is before


def test_buffers_that_no_file_holds(mapped):
    with torch.device("meta"):
        net = Tiny()
        net.register_buffer("table", torch.zeros(3), persistent=False)
    with pytest.raises(ValueError, match=r"buffers \['table'\]"):
        load_strict(net, mapped, what="tiny")
    net.register_buffer("table", torch.zeros(3), persistent=False)
    load_strict(net, mapped, what="tiny")


MEMORY = """
import json, sys, torch
from vmem.weights import MappedState, load_strict
path, how, layers, width = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
with torch.device("meta"):
    net = torch.nn.Sequential(*(torch.nn.Linear(width, width) for _ in range(layers)))
torch.ones(8, 8).to(torch.bfloat16)
def peak():
    # Not ru_maxrss: a child begins with its parent's.
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmHWM"))
begin = peak()
if how == "ours":
    load_strict(net, MappedState(path), what="net", dtype=torch.bfloat16)
else:
    from safetensors.torch import load_file
    net.load_state_dict(load_file(path), strict=True, assign=True)
    net.to(torch.bfloat16)
end = peak()
assert net[0].weight.dtype == torch.bfloat16
print(json.dumps(end - begin))
"""


@pytest.mark.every  # takes ten seconds or more
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_cast_on_loading_never_holds_the_file_as_well(tmp_path):
    """128 MiB of float32 become 64 MiB of bfloat16; the usual way is the control."""
    width, layers = 1024, 32
    state = {}
    for i in range(layers):
        state[f"{i}.weight"] = torch.full((width, width), 0.5)
        state[f"{i}.bias"] = torch.zeros(width)
    path = write_safetensors(tmp_path / "big.safetensors", state)
    del state
    size = path.stat().st_size
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    grown = {}
    for how in ("ours", "usual"):
        words = [sys.executable, "-c", MEMORY, str(path), how, str(layers), str(width)]
        done = subprocess.run(words, env=environment, capture_output=True, text=True, check=True)
        grown[how] = json.loads(done.stdout) / size
    assert 0.4 < grown["ours"] < 0.75, grown
    assert grown["usual"] > 1.2, grown
