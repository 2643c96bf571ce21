"""The multi-view UNet: properties that hold whatever the weights, and inputs that it refuses.

That it computes the published function is checked in tests/golden.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from vmem.errors import VMemError
from vmem.generation.diffusion.network import layers
from vmem.generation.diffusion.network.layers import CrossAttention, GroupNorm32, SelfAttention
from vmem.generation.diffusion.network.operations import count_operations
from vmem.generation.diffusion.network.transformer import MultiviewTransformer
from vmem.generation.diffusion.network.unet import (
    MultiviewUNet,
    NetworkError,
    UNetConfig,
    time_embedding,
)

pytestmark = pytest.mark.usefixtures("one_thread")

TINY = UNetConfig(
    model_channels=32,
    num_frames=4,
    num_res_blocks=1,
    attention_resolutions=(2, 1),
    channel_mult=(1, 2),
    num_head_channels=16,
    transformer_depth=(1, 2),
    context_dim=24,
    unflatten_names=("middle_ds2", "output_ds2"),
)
HW = (8, 12)


@pytest.fixture(scope="module")
def net() -> MultiviewUNet:
    """Random weights, with norms that are not the identity."""
    with torch.random.fork_rng():
        torch.manual_seed(3)
        net = MultiviewUNet(TINY)
        for module in net.modules():
            if isinstance(module, nn.GroupNorm | nn.LayerNorm):
                module.weight.normal_(1, 0.1)
                module.bias.normal_(0, 0.1)
    return net


def inputs(frames: int, *, tokens: int = 1, seed: int = 0) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """x, t, crossattn and dense: everything different from frame to frame."""
    g = torch.Generator().manual_seed(seed)
    return (
        torch.randn(frames, TINY.in_channels, *HW, generator=g),
        torch.randint(0, 1000, (frames,), generator=g),
        torch.randn(frames, tokens, TINY.context_dim, generator=g),
        torch.randn(frames, TINY.dense_in_channels, 6, 9, generator=g),
    )


def close(got: Tensor, expected: Tensor, atol: float = 2e-5) -> None:
    torch.testing.assert_close(got, expected, rtol=0, atol=atol)


def moved(a: Tensor, b: Tensor) -> float:
    return (a - b).abs().max().item()


# --- one sequence, many sequences, any number of frames ---------------------------------------


@pytest.mark.parametrize("num_frames", [1, 3, 8])
def test_sequences_of_a_batch_do_not_see_each_other(net, num_frames):
    x, t, y, d = inputs(2 * num_frames)
    together = net(x, t, y, d, num_frames)
    assert together.shape == (2 * num_frames, TINY.out_channels, *HW)
    for rows in (slice(0, num_frames), slice(num_frames, None)):
        close(together[rows], net(x[rows], t[rows], y[rows], d[rows], num_frames))


def test_frames_of_a_sequence_see_each_other(net):
    x, t, y, d = inputs(4)
    other = x.clone()
    other[3] += 1
    assert moved(net(x, t, y, d)[0], net(other, t, y, d)[0]) > 1e-3
    assert moved(net(x, t, y, d, 4), net(x, t, y, d, 2)) > 1e-3


def test_frames_have_no_order(net):
    """Nothing says which frame is which, if all have the same context."""
    x, t, y, d = inputs(4)
    y = y[:1].expand(4, -1, -1)
    order = torch.tensor([2, 0, 3, 1])
    close(net(x[order], t[order], y, d[order]), net(x, t, y, d)[order])


@pytest.mark.parametrize("name", ["x", "t", "crossattn", "dense"])
def test_every_input_matters(net, name):
    given = dict(zip(("x", "t", "crossattn", "dense"), inputs(4), strict=True))
    changed = {**given, name: given[name].flip(0)}
    if name == "x":
        changed["x"] = -given["x"]
    assert moved(net(**changed), net(**given)) > 1e-3


# --- what is prepared once --------------------------------------------------------------------


@pytest.mark.parametrize("tokens", [1, 3])
def test_prepared_equals_unprepared(net, tokens):
    x, t, y, d = inputs(8, tokens=tokens)
    prepared = net.prepare(y, d, HW, 4)
    assert torch.equal(net(x, t, prepared=prepared), net(x, t, y, d, 4))
    later, now = inputs(8, seed=1)[0], t.flip(0)
    assert torch.equal(net(later, now, prepared=prepared), net(later, now, y, d, 4))


def test_preparing_leaves_context_and_rays_out_of_the_steps(net, monkeypatch):
    """After it, neither is read again: the projections of the context are not called."""
    x, t, y, d = inputs(8)
    prepared = net.prepare(y, d, HW, 4)

    def used(self, context):
        raise AssertionError("the context was projected again")

    monkeypatch.setattr(CrossAttention, "prepare", used)
    net(x, t, prepared=prepared)
    with pytest.raises(AssertionError, match="projected again"):
        net(x, t, y, d, 4)


def test_rays_that_sequences_share_are_kept_once(net):
    x, t, y, d = inputs(8)
    twice = torch.cat([d[:4], d[:4]])
    shared, separate = net.prepare(y, twice, HW, 4), net.prepare(y, d, HW, 4)
    assert {m.shape[0] for m in shared.dense.values()} == {4}
    assert {m.shape[0] for m in separate.dense.values()} == {8}
    expected = torch.cat([net(x[i : i + 4], t[i : i + 4], y[i : i + 4], d[:4]) for i in (0, 4)])
    close(net(x, t, prepared=shared), expected)
    assert torch.equal(net(x, t, y, d[:4], 4), net(x, t, y, twice, 4))


def test_rays_are_resized_corner_on_corner(net):
    rows, columns = torch.meshgrid(torch.arange(5.0), torch.arange(9.0), indexing="ij")
    ramp = torch.stack([rows / 4, columns / 8]).repeat(4, 3, 1, 1)
    prepared = net.prepare(inputs(4)[2], ramp, HW)
    assert set(prepared.dense) == {(8, 12), (4, 6)}
    for (h, w), maps in prepared.dense.items():
        close(maps[0, 0], torch.linspace(0, 1, h)[:, None].expand(h, w))
        close(maps[0, 1], torch.linspace(0, 1, w).expand(h, w))


# --- attention --------------------------------------------------------------------------------


def by_hand(attention: layers.Attention, x: Tensor, context: Tensor) -> Tensor:
    """Softmax attention of every row, head by head."""
    out = []
    d = attention.head_channels
    q, k, v = attention.to_q(x), attention.to_k(context), attention.to_v(context)
    for start in range(0, x.shape[-1], d):
        head = slice(start, start + d)
        weights = (q[..., head] @ k[..., head].mT / d**0.5).softmax(-1)
        out.append(weights @ v[..., head])
    return attention.to_out(torch.cat(out, -1))


def test_one_token_of_context_is_a_vector():
    torch.manual_seed(0)
    attention = CrossAttention(32, 24, 16)
    x, context = torch.randn(6, 10, 32), torch.randn(3, 1, 24)
    got = attention(x, attention.prepare(context))
    assert got.shape == (6, 1, 32)
    expected = by_hand(attention, x, context.repeat_interleave(2, 0))
    close(got.expand_as(expected), expected, 1e-6)


def test_many_tokens_of_context_are_attended_to():
    torch.manual_seed(0)
    attention = CrossAttention(32, 24, 16)
    x, context = torch.randn(6, 10, 32), torch.randn(3, 5, 24)
    got = attention(x, attention.prepare(context))
    close(got, by_hand(attention, x, context.repeat_interleave(2, 0)), 1e-6)


@pytest.mark.parametrize("max_heads", [65535, 7, 1])
def test_attention_over_frames(monkeypatch, max_heads):
    """However many places fit in one call of the kernel."""
    monkeypatch.setattr(layers, "MAX_HEADS", max_heads)
    torch.manual_seed(0)
    attention = SelfAttention(32, 16)
    x = torch.randn(2 * 5, 9, 32)
    places = x.unflatten(0, (2, 5)).transpose(1, 2).flatten(0, 1)
    expected = by_hand(attention, places, places)
    expected = expected.unflatten(0, (2, 9)).transpose(1, 2).flatten(0, 1)
    close(attention.over_frames(x, 5), expected, 1e-6)
    close(attention(x), by_hand(attention, x, x), 1e-6)


# --- precision and layout ---------------------------------------------------------------------


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.bfloat16, 0.03), (torch.float16, 0.004)])
def test_half_precision_is_close(net, dtype, tolerance):
    given = inputs(4)
    expected = net(*given)
    half = MultiviewUNet(TINY).to(dtype)
    half.load_state_dict(net.state_dict())
    got = half(*given)
    assert got.dtype == torch.float32
    assert ((got - expected).std() / expected.std()).item() < tolerance
    assert half(given[0].to(dtype), *given[1:]).dtype == dtype


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_group_norm_in_half_precision_rounds_only_its_output(dtype):
    """Even where the mean is large beside the deviation."""
    torch.manual_seed(0)
    norm = GroupNorm32(64).to(dtype)
    x = (torch.randn(2, 64, 4, 4) + 50).to(dtype)
    expected = nn.GroupNorm(32, 64).double()(x.double())
    close(norm(x).double(), expected, atol=4 * torch.finfo(dtype).eps)


def test_channels_last_weights_give_the_same(net):
    given = inputs(4)
    other = MultiviewUNet(TINY)
    other.load_state_dict(net.state_dict())
    # Named by keyword: torch types no such overload for modules of unknown class.
    layout: Any = {"memory_format": torch.channels_last}
    other.to(**layout)
    close(other(*given), net(*given))


@pytest.mark.slow
@pytest.mark.every  # compiles for half a minute
def test_steps_compile_once_and_whole(net):
    """No graph break, whole or shallow, and no second compilation for another sequence."""
    x, t, y, d = inputs(4)
    compiled = deepcopy(net)
    compiled.compile(backend="eager", fullgraph=True)
    close(compiled(x, t, prepared=net.prepare(y, d, HW)), net(x, t, y, d))
    with torch.compiler.set_stance("fail_on_recompile"):
        other = net.prepare(-y, -d, HW)
        close(compiled(-x, t.flip(0), prepared=other), net(-x, t.flip(0), -y, -d))
    ours, theirs = (net.prepare(y, d, HW).keeping(1) for _ in range(2))
    for frames in (x, -x):  # the second time without the inner levels
        close(compiled(frames, t, prepared=ours), net(frames, t, prepared=theirs))


def test_parameters_want_no_gradients(net):
    assert not any(p.requires_grad for p in net.parameters())
    assert not net.training


def test_time_embedding():
    got = time_embedding(torch.tensor([0, 7]), 5)
    angles = torch.tensor([7, 7 / 100], dtype=torch.float32)
    close(got[0], torch.tensor([1.0, 1, 0, 0, 0]))
    close(got[1], torch.cat([angles.cos(), angles.sin(), torch.zeros(1)]))


# --- what it refuses --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x": torch.zeros(4, 10, *HW)}, r"x must be \(frames, 11.*got \(4, 10, 8, 12\)"),
        ({"x": torch.zeros(4, 11, 8)}, r"x must be"),
        ({"x": torch.zeros(4, 11, 7, 12)}, r"7 by 12 .*multiples of 2, images' of 16"),
        ({"x": torch.zeros(3, 11, *HW)}, r"x must be \(4, 11, 8, 12\) .*got \(3, "),
        ({"t": torch.zeros(3, dtype=torch.int64)}, r"t must be \(4,\).*got \(3,\)"),
        ({"crossattn": torch.zeros(4, 1, 25)}, r"crossattn must be .*24\), got \(4, 1, 25\)"),
        ({"crossattn": torch.zeros(4, 0, 24)}, r"crossattn must be"),
        ({"crossattn": torch.zeros(6, 1, 24)}, r"sequences of 4, got \(6, 1, 24\)"),
        ({"crossattn": torch.zeros(0, 1, 24)}, r"sequences of 4"),
        ({"dense": torch.zeros(4, 5, 8, 12)}, r"dense must be .*6, height.*got \(4, 5, 8, 12\)"),
        ({"dense": torch.zeros(3, 6, 8, 12)}, r"dense must be"),
        ({"dense": None}, r"needs crossattn and dense, or prepared"),
    ],
)
def test_inputs_of_the_wrong_size_are_refused(net, change, message):
    given = dict(zip(("x", "t", "crossattn", "dense"), inputs(4), strict=True))
    with pytest.raises(NetworkError, match=message) as refused:
        net(**{**given, **change})
    assert isinstance(refused.value, VMemError)


def test_another_size_than_prepared_is_refused(net):
    x, t, y, d = inputs(4)
    prepared = net.prepare(y, d, (8, 8))
    with pytest.raises(NetworkError, match=r"must be \(4, 11, 8, 8\) as prepared"):
        net(x, t, prepared=prepared)
    with pytest.raises(NetworkError, match="sequences of 4 frames, asked for 2"):
        net(x[..., :8], t, num_frames=2, prepared=prepared)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"transformer_depth": (1,)}, "one entry a level"),
        ({"channel_mult": (), "transformer_depth": ()}, "one entry a level"),
        ({"model_channels": 48}, "48 channels"),
        ({"num_head_channels": 20}, "num_head_channels 20"),
    ],
)
def test_networks_that_cannot_be_built_are_refused(change, message):
    with pytest.raises(NetworkError, match=message):
        replace(TINY, **change)


def test_configuration_from_json():
    assert UNetConfig.from_dict({"channel_mult": [1, 2, 4, 4], "dropout": 0.0}) == UNetConfig()
    with pytest.raises(NetworkError, match="no heads"):
        UNetConfig.from_dict({"heads": 8})


# --- operations -------------------------------------------------------------------------------


@pytest.mark.parametrize(("sequences", "num_frames"), [(1, 4), (2, 3)])
def test_operations_are_counted(net, sequences, num_frames):
    """Against the sizes that really pass through a network that computes."""
    counted = {"convolution": 0, "linear": 0, "attention": 0}

    def of_weight(kind):
        def hook(module, given, out):
            counted[kind] += 2 * out.numel() * module.weight[0].numel()

        return hook

    def of_attention(module, given, out):
        n, channels, h, w = given[0].shape
        seen = (num_frames if module.joint else 1) * h * w + num_frames
        depth = len(module.transformer_blocks)
        counted["attention"] += depth * 4 * n * h * w * seen * channels

    x, t, y, d = inputs(sequences * num_frames)
    prepared = net.prepare(y, d[:num_frames], HW, num_frames)
    hooks = [
        module.register_forward_hook(hook)
        for kinds, hook in (
            (nn.Conv2d, of_weight("convolution")),
            (nn.Linear, of_weight("linear")),
            (MultiviewTransformer, of_attention),
        )
        for module in net.modules()
        if isinstance(module, kinds)
    ]
    try:
        net(x, t, prepared=prepared)
    finally:
        for hook in hooks:
            hook.remove()
    got = count_operations(TINY, sequences=sequences, num_frames=num_frames, hw=HW)
    assert vars(got) == counted
    assert got.total == sum(counted.values())
