"""CUT3R's network: properties that hold whatever the weights, and inputs that it refuses.

That it computes the published function is checked in tests/golden.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from vmem.errors import VMemError
from vmem.geometry.cut3r.config import Cut3rConfig
from vmem.geometry.cut3r.dpt import Fusion
from vmem.geometry.cut3r.encoder import Features
from vmem.geometry.cut3r.heads import OUTPUTS, Prediction, stretched
from vmem.geometry.cut3r.network import Cut3r, State
from vmem.geometry.cut3r.rope import image_places, rotation, state_places
from vmem.weights.advice import CheckpointError
from vmem.weights.loading import load_strict

pytestmark = pytest.mark.usefixtures("one_thread")

TINY = Cut3rConfig(
    enc_embed_dim=48,
    enc_depth=2,
    enc_num_heads=4,
    dec_embed_dim=32,
    dec_depth=3,
    dec_num_heads=2,
    state_dec_num_heads=4,
    state_size=20,
    local_mem_size=6,
    ray_enc_depth=1,
    dpt_layer_dims=(8, 12, 16, 24),
    dpt_feature_dim=16,
    dpt_last_dim=8,
)
HW = (48, 80)


def random_net(config: Cut3rConfig = TINY, **options: bool) -> Cut3r:
    """Random weights, the same every time, with norms that are not the identity."""
    with torch.random.fork_rng():
        torch.manual_seed(5)
        net = Cut3r(config, **options)
        for module in net.modules():
            if isinstance(module, nn.LayerNorm):
                module.weight.normal_(1, 0.1)
                module.bias.normal_(0, 0.1)
    return net


@pytest.fixture(scope="module")
def net() -> Cut3r:
    return random_net()


def views(count: int, hw: tuple[int, int] = HW, seed: int = 0) -> Tensor:
    return torch.rand(count, 3, *hw, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def walk(net: Cut3r, images: Tensor, state: State | None = None) -> tuple[State, list[Prediction]]:
    """All views in turn."""
    state, said = state or net.start(), []
    for image in images:
        state, prediction = net.step(state, net.encode(image[None]))
        said.append(prediction)
    return state, said


def tensors(thing: State | Prediction) -> list[Tensor]:
    return [value for value in vars(thing).values() if isinstance(value, Tensor)]


def same(a: State | Prediction, b: State | Prediction) -> bool:
    return all(torch.equal(x, y) for x, y in zip(tensors(a), tensors(b), strict=True))


def close(got: Tensor, expected: Tensor, atol: float = 2e-5) -> None:
    torch.testing.assert_close(got, expected, rtol=0, atol=atol)


# --- the state ----------------------------------------------------------------------------------


def test_going_on_from_a_kept_state_equals_starting_anew(net):
    images = views(5)
    kept, early = walk(net, images[:3])
    before = [tensor.clone() for tensor in tensors(kept)]
    whole, said = walk(net, images)
    for _ in range(2):  # as after an undo: the state is as it was
        state, late = walk(net, images[3:], kept)
        assert same(state, whole)
        assert state.views == 5
        for got, expected in zip([*early, *late], said, strict=True):
            assert same(got, expected)
    assert all(torch.equal(a, b) for a, b in zip(before, tensors(kept), strict=True))


def test_a_branch_does_not_touch_its_root(net):
    images, others = views(4), views(2, seed=1)
    root, _ = walk(net, images[:2])
    one, _ = walk(net, images[2:], root)
    other, _ = walk(net, others, root)
    assert not same(one, other)
    assert same(walk(net, images[2:], root)[0], one)


def test_a_view_depends_on_those_before_and_on_none_after(net):
    images = views(4)
    other = images.clone()
    other[2] = views(1, seed=9)[0]
    _, said = walk(net, images)
    _, changed = walk(net, other)
    assert same(said[0], changed[0])
    assert same(said[1], changed[1])
    for field in ("own_points", "world_points", "pose"):
        a, b = getattr(said[3], field), getattr(changed[3], field)
        assert (a - b).abs().max() > 1e-4 * a.abs().max()


def test_the_order_of_views_matters(net):
    images = views(3)
    forward, _ = walk(net, images)
    backward, _ = walk(net, images[[1, 0, 2]])
    assert (forward.tokens - backward.tokens).abs().max() > 1e-3
    assert (forward.memory - backward.memory).abs().max() > 1e-3


def test_the_first_view_asks_the_memory_nothing(net):
    start = net.start()
    features = net.encode(views(1))
    other = replace(start, memory=start.memory + 1)
    assert same(net.step(start, features)[1], net.step(other, features)[1])
    later, later_other = replace(start, views=1), replace(other, views=1)
    assert not same(net.step(later, features)[1], net.step(later_other, features)[1])


def test_a_state_costs_the_same_after_any_number_of_views(net):
    start = net.start()
    after, _ = walk(net, views(3))
    assert after.nbytes == start.nbytes
    assert all(tensor.is_contiguous() for tensor in tensors(after))
    assert same(after.to("cpu"), after)


# --- batches, sizes, precision ------------------------------------------------------------------


def test_views_are_encoded_each_by_itself(net):
    images = views(3)
    together = net.encode(images)
    assert len(together) == 3
    for i in range(3):
        close(together.view(i).tokens, net.encode(images[i : i + 1]).tokens, 1e-5)


def test_runs_of_a_batch_do_not_see_each_other(net):
    images = views(4)
    state, said = net.step(net.start(2), net.encode(images[:2]))
    state, said = net.step(state, net.encode(images[2:]))
    for run in range(2):
        alone, expected = walk(net, images[run::2])
        close(state.tokens[run : run + 1], alone.tokens)
        close(state.memory[run : run + 1], alone.memory)
        for got, wanted in zip(tensors(said), tensors(expected[-1]), strict=True):
            close(got[run : run + 1], wanted, 1e-5 * max(1.0, wanted.abs().max().item()))


@pytest.mark.parametrize("hw", [(16, 16), (16, 48), (80, 48), (64, 64), (112, 16)])
def test_any_size_of_whole_patches(net, hw):
    _, (said, _) = walk(net, views(2, hw))
    assert said.own_points is not None
    assert said.own_points.shape == (1, *hw, 3)
    assert all(torch.isfinite(tensor).all() for tensor in tensors(said))


def test_what_is_not_asked_for_is_not_made(net):
    features = net.encode(views(1))
    whole, everything = net.step(net.start(), features)
    assert len(tensors(everything)) == 6
    for name in OUTPUTS:
        state, said = net.step(net.start(), features, {name})
        assert same(state, whole)
        found = {field: value for field, value in vars(said).items() if value is not None}
        assert found
        assert all(field.startswith(name) for field in found)
        assert all(torch.equal(value, getattr(everything, field)) for field, value in found.items())
    assert not tensors(net.step(net.start(), features, ())[1])


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("whole", [True, False], ids=["whole", "heads-in-float32"])
def test_half_precision(net, dtype, whole):
    low = random_net().to(dtype)
    if not whole:
        low.downstream_head.float()
    images = views(3)
    state, said = walk(low, images)
    exact, expected = walk(net, images)
    assert state.tokens.dtype == dtype
    assert (state.tokens - exact.tokens).abs().mean() < 0.05 * exact.tokens.abs().mean()
    for field, value in vars(said[-1]).items():
        assert value.dtype == torch.float32
        right = getattr(expected[-1], field)
        assert (value - right).abs().mean() < 0.05 * right.abs().mean(), field


def test_rounded_angles_are_a_little_off(net):
    images = views(1)
    exact, rounded = (n.encode(images).tokens for n in (net, random_net(rounded_rope=True)))
    assert 0 < (exact - rounded).abs().max() < 1e-2


def test_parts_for_training_change_nothing(net):
    other = random_net()
    for name, parameter in other.named_parameters():
        if "ray_map" in name or name.startswith("masked_"):
            parameter.fill_(7)
    images = views(2)
    assert same(walk(net, images)[0], walk(other, images)[0])


@pytest.mark.parametrize("kind", ["none", "1d", "2d"])
def test_places_of_the_state(net, kind):
    other = random_net(replace(TINY, state_pe=kind))
    state, _ = walk(other, views(2))
    assert same(state, walk(net, views(2))[0]) == (kind == TINY.state_pe)


def test_without_colours():
    plain = random_net(replace(TINY, rgb_head=False))
    assert not any("rgb" in name for name in plain.state_dict())
    _, (said,) = walk(plain, views(1))
    assert said.rgb is None
    with pytest.raises(VMemError, match="no output rgb"):
        plain.step(plain.start(), plain.encode(views(1)), {"rgb"})


# --- parts --------------------------------------------------------------------------------------


def test_attention_sees_only_how_far_apart_places_are():
    q, k = torch.randn(2, 1, 1, 16, generator=torch.Generator().manual_seed(2)).unbind(0)

    def score(at: tuple[int, int], other: tuple[int, int]) -> Tensor:
        turn_q, turn_k = (rotation(torch.tensor([place]), 16, 100.0) for place in (at, other))
        return (turn_q(q) * turn_k(k)).sum()

    close(score((3, 5), (1, 9)), score((10, 0), (8, 4)), 1e-5)
    close(score((-1, -1), (2, 2)), score((4, 4), (7, 7)), 1e-5)
    assert (score((3, 5), (1, 9)) - score((3, 5), (9, 1))).abs() > 1e-3
    assert (score((0, 1), (0, 0)) - score((1, 0), (0, 0))).abs() > 1e-3


def test_places():
    assert image_places(2, 3).tolist() == [[0, 0], [0, 1], [0, 2], [1, 0], [1, 1], [1, 2]]
    for size, side in ((768, 28), (30, 6), (50, 8)):
        places = state_places(size, "2d")
        assert places is not None
        assert places[-1].tolist() == [(size - 1) // side, (size - 1) % side]
    assert state_places(5, "none") is None


def test_points_far_and_near():
    zero = torch.zeros(1, 3)
    assert torch.equal(stretched(zero), zero)
    x = torch.tensor([[0.0, 3.0, 4.0]])
    close(stretched(x), x / 5 * (torch.tensor(5.0).exp() - 1), 1e-4)


def test_fusion_before_or_after_enlarging():
    """The 1 x 1 convolution may come first; the published order is the other."""
    fusion = Fusion(8).requires_grad_(False)
    x = torch.randn(2, 8, 5, 7, generator=torch.Generator().manual_seed(0))
    y = nn.functional.interpolate(
        fusion.resConfUnit2(x), scale_factor=2, mode="bilinear", align_corners=True
    )
    close(fusion(x), fusion.out_conv(y), 1e-5)


def test_confidence_stays_within_its_bounds():
    bounded = random_net(replace(TINY, conf_min=2.0, conf_max=2.5))
    _, (said,) = walk(bounded, views(1))
    free = walk(random_net(replace(TINY, conf_min=2.0)), views(1))[1][0]
    assert said.own_confidence is not None
    assert free.own_confidence is not None
    assert torch.equal(said.own_confidence, free.own_confidence.clamp(max=2.5))
    assert said.own_confidence.min() > 2
    assert free.own_confidence.max() > 2.5


def test_weights_under_two_names_are_one(net):
    state = dict(net.state_dict())
    scratch = "downstream_head.dpt_self.scratch."
    one, other = f"{scratch}layer2_rn.weight", f"{scratch}layer_rn.1.weight"
    assert state[one].data_ptr() == state[other].data_ptr()
    with torch.device("meta"):
        empty = Cut3r(TINY)
    load_strict(empty, state, what="CUT3R")
    assert same(walk(empty, views(2))[0], walk(net, views(2))[0])
    with pytest.raises(CheckpointError, match="one tensor"):
        load_strict(empty, {**state, other: state[one] + 1}, what="CUT3R")
    with pytest.raises(CheckpointError, match="missing"):
        load_strict(empty, {k: v for k, v in state.items() if "ray_map" not in k}, what="CUT3R")


# --- bad input ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (views(1, (48, 72)), "multiples of 16"),
        (views(1, (8, 16)), "multiples of 16"),
        (views(1)[0], "expected"),
        (views(1)[:, :2], "3 channels"),
        (views(0), "expected"),
        (views(1)[:, :, :0], "expected"),
        (torch.zeros(1, 3, 16, 16, dtype=torch.uint8), "floating"),
        (views(1) * 255, r"\[-1, 1\]"),
        (views(1) * float("nan"), "nan"),
        (torch.full((1, 3, 16, 16), float("inf")), "inf"),
    ],
)
def test_bad_images(net, images, message):
    with pytest.raises(VMemError, match=message):
        net.encode(images)


def test_one_nan_in_many_pixels(net):
    images = views(2)
    images[1, 2, 40, 70] = float("nan")
    with pytest.raises(VMemError, match="nan"):
        net.encode(images)


def test_states_of_another_network(net):
    features, start = net.encode(views(1)), net.start()
    for state in (
        net.start(2),
        replace(start, tokens=start.tokens[:, 1:]),
        replace(start, memory=start.memory[..., 1:]),
        replace(start, tokens=start.tokens.half()),
    ):
        with pytest.raises(VMemError, match="state"):
            net.step(state, features)
    for tokens in (features.tokens[:, 1:], features.tokens[..., 1:], features.tokens.double()):
        with pytest.raises(VMemError, match="features"):
            net.step(start, Features(tokens, HW))


def test_a_state_never_becomes_nan(net):
    start = net.start()
    features = net.encode(views(1))
    bad = Features(features.tokens * float("nan"), HW)
    with pytest.raises(VMemError, match="NaN"):
        net.step(start, bad)
    with pytest.raises(VMemError, match="no output depth"):
        net.step(start, features, {"depth"})


def test_constant_views_are_no_trouble(net):
    for value in (-1.0, 0.0, 1.0):
        _, said = walk(net, torch.full((3, 3, *HW), value))
        for prediction in said:
            assert all(torch.isfinite(tensor).all() for tensor in tensors(prediction))
            assert prediction.pose is not None
            close(prediction.pose[:, 3:].norm(dim=-1), torch.ones(1), 1e-6)
            assert prediction.pose[0, 3] >= 0
