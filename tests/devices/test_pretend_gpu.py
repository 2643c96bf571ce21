"""GPUs that are not there: what torch says of them, memory that is counted, devices that mix."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.support.pretend_gpu import GIB, pretend_gpus

pytestmark = pytest.mark.usefixtures("one_thread")


def test_torch_has_them_only_within():
    names = ("is_available", "mem_get_info", "empty_cache", "_lazy_init")
    before = [getattr(torch.cuda, name) for name in names]
    tensor = torch.Tensor.to, torch.Tensor.new_tensor, torch.backends.cuda.matmul.allow_tf32
    with pretend_gpus(capability=(7, 5), free=3 * GIB, total=4 * GIB, count=2):
        assert torch.cuda.is_available()
        assert torch.cuda.device_count() == 2
        assert torch.cuda.get_device_capability(1) == (7, 5)
        assert torch.cuda.mem_get_info(torch.device("cuda", 1)) == (3 * GIB, 4 * GIB)
        torch.backends.cuda.matmul.allow_tf32 = True
    assert [getattr(torch.cuda, name) for name in names] == before
    assert tensor == (
        torch.Tensor.to,
        torch.Tensor.new_tensor,
        torch.backends.cuda.matmul.allow_tf32,
    )


def test_devices_do_not_mix():
    with pretend_gpus(count=2):
        here, there = torch.ones(3, device="cuda:0"), torch.ones(3).to("cuda:1")
        assert (here.device, there.device) == (torch.device("cuda", 0), torch.device("cuda", 1))
        for other in (there, torch.ones(3)):
            with pytest.raises(RuntimeError, match="all tensors to be on the same device"):
                torch.add(here, other)
            assert torch.equal((here + other.to("cuda:0")).cpu(), torch.full((3,), 2.0))
        assert (here + torch.tensor(1.0)).device == here.device, "numbers of the CPU go with any"
        with pytest.raises(RuntimeError, match="all tensors to be on the same device"):
            torch.ones(3)[here.long()]
        assert here[torch.tensor([0, 2])].device == here.device
        for read in (lambda: here.numpy(), lambda: np.asarray(here)):
            with pytest.raises(TypeError, match=r"can't convert cuda:0 .* to numpy"):
                read()
        with pytest.raises(RuntimeError, match="invalid device ordinal"):
            torch.ones(3, device="cuda:2")


@pytest.mark.parametrize("inference", [False, True])
def test_a_network_computes_there_what_it_does_on_the_cpu(inference):
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.GroupNorm(2, 4), torch.nn.GELU())
    image = torch.randn(1, 3, 8, 8)
    with torch.inference_mode(inference), torch.no_grad():
        expected = net(image)
        with pretend_gpus() as (gpu,):
            net.to(device="cuda", memory_format=torch.channels_last)  # type: ignore[call-overload]
            assert gpu.allocated == sum(p.nbytes for p in net.parameters())
            made = net(image.to("cuda"))
            assert made.device == gpu.device
            torch.testing.assert_close(made.cpu(), expected)
            net.to("cpu")
            del made
            assert gpu.allocated == 0


def test_memory_is_counted_by_storage_and_runs_out():
    with pretend_gpus(free=1000, total=2000) as (gpu,):
        held = torch.zeros(100, device="cuda")
        views = held.view(10, 10)[2:], held.t()
        assert torch.cuda.memory_allocated() == 400
        with pytest.raises(torch.OutOfMemoryError):
            torch.zeros(200, device="cuda")
        more = held + 1
        assert (gpu.allocated, gpu.peak) == (800, 800)
        del held, more
        assert gpu.allocated == 400
        assert torch.cuda.mem_get_info() == (200, 2000), "the cache has it"
        del views
        torch.cuda.empty_cache()
        assert torch.cuda.mem_get_info() == (1000, 2000)
        gpu.fail(lambda: MemoryError("asked for"), after=1)
        torch.zeros(1, device="cuda")
        with pytest.raises(MemoryError, match="asked for"):
            torch.zeros(1, device="cuda")
        torch.zeros(1, device="cuda")


def test_data_of_a_parameter_moves_and_memory_is_pinned():
    with pretend_gpus() as (gpu,):
        layer = torch.nn.Linear(2, 2)
        weight, values = layer.weight, layer.weight.tolist()
        for place, held in (("cuda:0", 16), ("cpu", 0)):
            weight.data = weight.data.to(place)
            assert isinstance(weight, torch.nn.Parameter)
            assert weight.device == torch.device(place)
            assert weight.tolist() == values
            assert gpu.allocated == held
        assert not weight.is_pinned()
        weight.data = weight.data.pin_memory()
        assert weight.is_pinned()
        assert not layer.bias.is_pinned()
