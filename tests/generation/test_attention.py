"""Attention in slices and by a chosen kernel, against the plain formula in f64."""

from __future__ import annotations

import threading

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from vmem.devices.settings import ATTENTION, NetworkSettings, NetworkSettingsError
from vmem.errors import VMemError
from vmem.generation.diffusion.network import attention
from vmem.generation.diffusion.network.attention import AttentionError, attend, in_slices
from vmem.generation.diffusion.network.layers import Attention, SelfAttention
from vmem.generation.diffusion.network.unet import MultiviewUNet, UNetConfig

pytestmark = pytest.mark.usefixtures("one_thread")
Three = tuple[Tensor, Tensor, Tensor]
HERE = ("auto", "flash", "math", "sliced")
"""Kernels that a CPU has."""


def plain(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """The formula, whole, in f64."""
    q, k, v = q.double(), k.double(), v.double()
    return (q @ k.mT / q.shape[-1] ** 0.5).softmax(-1) @ v


def drawn(n: int, heads: int, queries: int, keys: int, channels: int = 8) -> Three:
    g = torch.Generator().manual_seed(n + 10 * heads + 100 * queries + keys)

    def some(length: int) -> Tensor:
        return 3 * torch.randn((n, heads, length, channels), generator=g)

    return some(queries), some(keys), some(keys)


@given(
    st.tuples(st.integers(1, 4), st.integers(1, 4), st.integers(1, 20), st.integers(1, 20)),
    st.integers(1, 6000),
)
def test_slices_give_the_whole_and_stay_small(sizes, most):
    given, scores = drawn(*sizes), []
    whole = attention.scaled_dot_product_attention

    def watched(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        scores.append((q.shape[:3].numel(), 4 * q.shape[:3].numel() * k.shape[2]))
        return whole(q, k, v)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(attention, "scaled_dot_product_attention", watched)
        got = in_slices(*given, most)
    torch.testing.assert_close(got.double(), plain(*given), rtol=0, atol=1e-5)
    assert all(size <= most or queries == 1 for queries, size in scores)
    # No more slices than their number of queries makes necessary, but for rounding at each axis.
    assert len(scores) <= 8 * max(1, 4 * given[0].shape[:3].numel() * sizes[3] / most)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("kernel", HERE)
def test_kernels_agree_within_rounding(monkeypatch, kernel, dtype):
    monkeypatch.setattr(attention, "SCORES", 1000)
    q, k, v = (t.to(dtype) for t in drawn(2, 3, 9, 11))
    given, got = (q, k, v), attend(q, k, v, kernel)
    assert got.dtype == dtype
    tolerance = max(1e-5, 20 * torch.finfo(dtype).eps)
    torch.testing.assert_close(got.double(), plain(*given), rtol=0, atol=tolerance)


def test_a_kernel_that_the_device_lacks_is_named():
    with pytest.raises(AttentionError, match=r"by 'cudnn' does not work on cpu .*ATTENTION=auto"):
        attend(*drawn(1, 1, 4, 4), kernel="cudnn")
    assert issubclass(AttentionError, VMemError)


def test_other_errors_of_torch_pass():
    q, k, v = drawn(1, 1, 4, 4)
    with pytest.raises(RuntimeError) as raised:
        attend(q, k[..., :3], v, kernel="math")
    assert not isinstance(raised.value, AttentionError)


@pytest.mark.parametrize("device", ["mps", "cuda"])
def test_without_a_fused_kernel_auto_slices(monkeypatch, device):
    """With tensors that claim to be elsewhere and compute here."""

    class Elsewhere(torch.Tensor):
        @property
        def device(self) -> torch.device:  # pyright: ignore[reportIncompatibleVariableOverride]
            return torch.device(device)

    for name in ("flash", "efficient", "cudnn"):
        monkeypatch.setattr(attention, f"can_use_{name}_attention", lambda given: False)
    monkeypatch.setattr(attention, "SDPAParams", lambda *given: None)
    sliced = []
    monkeypatch.setattr(attention, "in_slices", lambda *given: sliced.append(given) or given[0])
    q, k, v = (t.as_subclass(Elsewhere) for t in drawn(1, 1, 4, 4))
    attend(q, k, v)
    assert len(sliced) == 1
    monkeypatch.setattr(attention, "can_use_efficient_attention", lambda given: True)
    attend(q, k, v)
    assert len(sliced) == (2 if device == "mps" else 1)


def test_threads_do_not_see_each_others_kernels(monkeypatch):
    """What torch keeps for the process is as each call asked while it runs, and as before after."""
    seen: dict[str, set[bool]] = {"flash": set(), "math": set()}
    whole = attention.scaled_dot_product_attention
    given = drawn(1, 2, 4, 4)
    names = {threading.get_ident(): ""}

    def watched(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        flash = torch.backends.cuda.flash_sdp_enabled()
        seen[names[threading.get_ident()]].add(flash)
        return whole(q, k, v)

    def many(kernel: str) -> None:
        names[threading.get_ident()] = kernel
        for _ in range(200):
            attend(*given, kernel=kernel)  # pyright: ignore[reportArgumentType]

    monkeypatch.setattr(attention, "scaled_dot_product_attention", watched)
    before = torch.backends.cuda.flash_sdp_enabled(), torch.backends.cuda.math_sdp_enabled()
    threads = [threading.Thread(target=many, args=(name,)) for name in seen]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == {"flash": {True}, "math": {False}}
    assert before == (
        torch.backends.cuda.flash_sdp_enabled(),
        torch.backends.cuda.math_sdp_enabled(),
    )


# --- in the network ---------------------------------------------------------------------------

TINY = UNetConfig(
    model_channels=32,
    num_frames=2,
    num_res_blocks=1,
    attention_resolutions=(2, 1),
    channel_mult=(1, 2),
    num_head_channels=16,
    transformer_depth=(1, 1),
    context_dim=24,
    unflatten_names=("middle_ds2",),
)


def network() -> tuple[MultiviewUNet, tuple[Tensor, ...]]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = MultiviewUNet(TINY)
        x, t = torch.randn(2, 11, 8, 8), torch.tensor([500, 500])
        return net, (x, t, torch.randn(2, 3, 24), torch.randn(2, 6, 8, 8))


def test_all_attention_of_the_network_takes_the_kernel(monkeypatch):
    net, given = network()
    expected, used = net(*given), []
    chosen = attention._chosen
    monkeypatch.setattr(
        attention, "_chosen", lambda q, k, v, kernel: used.append(kernel) or chosen(q, k, v, kernel)
    )
    net.attend_with("sliced")
    monkeypatch.setattr(attention, "SCORES", 500)
    torch.testing.assert_close(net(*given), expected, rtol=0, atol=2e-5)
    layers = [module for module in net.modules() if isinstance(module, Attention)]
    assert used == ["sliced"] * len(layers)
    other, _ = network()
    assert {m.kernel for m in other.modules() if isinstance(m, Attention)} == {"auto"}


def test_compiled_attention_takes_it():
    """Without a break in the graph, of which locks would be one."""
    torch.manual_seed(0)
    layer, x = SelfAttention(32, 16), torch.randn(2, 9, 32)
    expected = layer(x)
    layer.kernel = "sliced"
    layer.compile(backend="eager", fullgraph=True)
    torch.testing.assert_close(layer(x), expected, rtol=0, atol=1e-5)


def test_the_setting():
    assert NetworkSettings().attention == "auto"
    given = {"VMEM_ATTENTION": "efficient"}
    assert NetworkSettings.from_environment(given).attention == "efficient"
    with pytest.raises(NetworkSettingsError, match=f"attention 'xla'.*{', '.join(ATTENTION)}"):
        NetworkSettings.from_environment({"VMEM_ATTENTION": "xla"})
