"""Evaluations that leave something out: what they compute, in which order, and from what."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from tests.generation.test_diffusion_sampling import sequence, turned
from vmem.generation.diffusion.network.operations import count_operations
from vmem.generation.diffusion.network.unet import MultiviewUNet, NetworkError, UNetConfig
from vmem.generation.diffusion.sampling.guidance import GuidedDenoiser, guidance_scale
from vmem.generation.diffusion.sampling.presets import PRESETS
from vmem.generation.diffusion.sampling.sampler import noise_stream
from vmem.generation.diffusion.sampling.schedule import sigma_table
from vmem.generation.diffusion.sampling.shortcuts import (
    EXACT,
    Evaluation,
    ShortcutError,
    Shortcuts,
)

pytestmark = pytest.mark.usefixtures("one_thread")

TINY = UNetConfig(
    model_channels=32,
    num_frames=4,
    num_res_blocks=1,
    attention_resolutions=(2, 1),
    channel_mult=(1, 2),
    num_head_channels=16,
    transformer_depth=(1, 1),
    context_dim=3,
    unflatten_names=("middle_ds2",),
)
MADE = sequence([turned(0), turned(30), turned(60), turned(90)], n_context=2)
X = torch.randn(4, 4, 4, 4, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def net() -> MultiviewUNet:
    with torch.random.fork_rng():
        torch.manual_seed(3)
        return MultiviewUNet(TINY)


def inputs(seed: int) -> tuple[Tensor, Tensor]:
    g = torch.Generator().manual_seed(seed)
    return torch.randn(4, 11, 4, 4, generator=g), torch.full((4,), 500)


def prepared(net: MultiviewUNet):
    g = torch.Generator().manual_seed(0)
    given = torch.randn(4, 1, 3, generator=g), torch.randn(4, 6, 4, 4, generator=g)
    return net.prepare(*given, (4, 4), 4)


# --- the network ------------------------------------------------------------------------------


def test_whole_evaluations_that_keep_features_are_the_same(net):
    x, t = inputs(0)
    keeping = prepared(net).keeping(1)
    assert torch.equal(net(x, t, prepared=keeping), net(x, t, prepared=prepared(net)))
    assert keeping.deep
    assert keeping.deep.kept is not None


def test_a_shallow_evaluation_of_the_same_frames_is_the_whole_one(net):
    (x, t), keeping = inputs(0), prepared(net).keeping(1)
    whole = net(x, t, prepared=keeping)
    assert torch.equal(net(x, t, prepared=keeping), whole)


def test_a_shallow_evaluation_sees_new_frames_through_the_outer_level_alone(net):
    """A whole evaluation in which hooks replace what the inner blocks make by what they made of
    the frames before."""
    (x, t), (later, _), keeping = inputs(0), inputs(1), prepared(net).keeping(1)
    net(x, t, prepared=keeping)
    assert keeping.deep
    kept = keeping.deep.kept
    got = net(later, t, prepared=keeping)
    assert keeping.deep.kept is kept
    last_inner = net.output_blocks[-3][-1]  # two blocks of the outer level follow
    hook = last_inner.register_forward_hook(lambda module, given, out: kept)
    try:
        expected = net(later, t, prepared=prepared(net))
    finally:
        hook.remove()
    torch.testing.assert_close(got, expected, rtol=0, atol=1e-6)
    assert not torch.equal(expected, net(later, t, prepared=prepared(net)))


def test_inner_blocks_are_left_out(net, monkeypatch):
    (x, t), keeping = inputs(0), prepared(net).keeping(1)
    net(x, t, prepared=keeping)
    calls = []
    for name, block in (("middle", net.middle_block), ("outer", net.output_blocks[-1])):
        forward = block[0].forward
        monkeypatch.setattr(
            block[0], "forward", lambda *a, n=name, f=forward: calls.append(n) or f(*a)
        )
    net(x, t, prepared=keeping)
    assert calls == ["outer"]


@pytest.mark.parametrize("outer", [0, 2])
def test_levels_that_leave_nothing_out_are_refused(net, outer):
    x, t = inputs(0)
    with pytest.raises(NetworkError, match=f"{outer} outer levels .*keep 1 to 1"):
        net(x, t, prepared=prepared(net).keeping(outer))


def test_half_of_the_sides_and_outer_levels_cost_less():
    def count(sides: int, outer: int | None = None) -> int:
        return count_operations(TINY, sequences=sides, num_frames=4, hw=(8, 8), outer=outer).total

    assert count(1) / count(2) == pytest.approx(0.5, abs=0.02)
    assert count(1, 1) / count(2, 1) == pytest.approx(0.5, abs=0.02)
    assert 0.2 < count(2, 1) / count(2) < 0.8


# --- the order --------------------------------------------------------------------------------

WHOLE, SHALLOW = Evaluation(2, False), Evaluation(2, True)
ONE, ONE_SHALLOW = Evaluation(1, False), Evaluation(1, True)


def test_by_default_everything_is_computed():
    assert EXACT.plan(PRESETS["reference"].sigmas()) == [WHOLE] * 50
    assert PRESETS["balanced"].shortcuts == PRESETS["reference"].shortcuts == EXACT


def test_the_plan_of_fast():
    preset = PRESETS["fast"]
    expected = [ONE, WHOLE, WHOLE, *[SHALLOW] * 3, WHOLE, *[SHALLOW] * 3]
    assert preset.shortcuts.plan(preset.sigmas()) == expected


def test_one_side_outside_the_interval_and_whole_where_its_features_are_missing():
    levels = [40, 20, 10, 5, 2, 1, 0]
    chosen = Shortcuts(guided=(2, 10), shallow=(1, 2, 3, 5))
    assert chosen.plan(levels) == [ONE, ONE_SHALLOW, WHOLE, SHALLOW, WHOLE, ONE_SHALLOW]


@given(
    st.lists(st.floats(0.05, 90), min_size=2, max_size=12, unique=True),
    st.sets(st.integers(1, 12)),
    st.tuples(st.floats(0, 90), st.floats(0, 90)).map(sorted),
)
def test_no_evaluation_is_shallow_without_features_of_its_sides(levels, shallow, interval):
    levels = sorted(levels, reverse=True)
    chosen = Shortcuts(guided=tuple(interval), shallow=tuple(shallow))
    plan = chosen.plan(levels)
    assert len(plan) == len(levels) - 1
    assert not plan[0].shallow
    for before, now, sigma in zip(plan, plan[1:], levels[1:], strict=False):
        assert (now.sides == 2) == (interval[0] <= sigma <= interval[1])
        assert not now.shallow or before.sides >= now.sides


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"guided": (3.0, 1.0)}, "0 <= lowest <= highest level, got 3.0 to 1.0"),
        ({"guided": (-1.0, 1.0)}, "got -1.0"),
        ({"guided": (math.nan, 1.0)}, "got nan"),
        ({"shallow": (0, 2)}, r"one before it .*got evaluations \(0, 2\)"),
        ({"outer": 0}, "at least one level"),
    ],
)
def test_contradictions_are_refused(change, message):
    with pytest.raises(ShortcutError, match=message):
        replace(EXACT, **change)


# --- the denoiser -----------------------------------------------------------------------------


class Counting:
    """A network that remembers how it was called."""

    def __init__(self, net: MultiviewUNet) -> None:
        self.net = net
        self.made: list[tuple[int, bool]] = []

    def prepare(self, *given, **named):
        return self.net.prepare(*given, **named)

    def __call__(self, x, t, *, prepared):
        deep = prepared.deep
        self.made.append((len(x) // 4, deep is not None and deep.kept is not None))
        return self.net(x, t, prepared=prepared)


LEVELS = sigma_table()[[950, 900, 800, 700, 500, 200]]


@pytest.mark.parametrize("batched", [True, False])
def test_the_network_computes_what_is_planned(net, batched):
    interval = float(LEVELS[4]) * 0.99, float(LEVELS[1]) * 1.01
    chosen, counting = Shortcuts(guided=interval, shallow=(1, 2, 3, 5)), Counting(net)
    denoise = GuidedDenoiser(
        counting, MADE, guidance_scale(MADE), batched=batched, shortcuts=chosen
    )
    plan = chosen.plan([*LEVELS.tolist(), 0.0])
    assert plan == [ONE, WHOLE, SHALLOW, SHALLOW, WHOLE, ONE_SHALLOW]
    for sigma in LEVELS:
        denoise(X, sigma)
    expected = []
    for step in plan:
        passes = 1 if batched else step.sides
        expected += [(step.sides // passes, step.shallow)] * passes
    assert counting.made == expected


@pytest.mark.parametrize("sides", [1, 2])
def test_one_pass_or_two_give_the_same(net, sides):
    """Also where features of both sides serve an evaluation of one."""
    low = 0.0 if sides == 2 else float(LEVELS[2]) * 1.01
    chosen = Shortcuts(guided=(low, math.inf), shallow=(2, 3, 5))
    ways = [
        GuidedDenoiser(net, MADE, guidance_scale(MADE), batched=batched, shortcuts=chosen)
        for batched in (True, False)
    ]
    for sigma in LEVELS:
        a, b = (denoise(X * sigma, sigma) for denoise in ways)
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)


def test_outside_the_interval_the_estimate_is_that_with_context(net):
    chosen, scale = Shortcuts(guided=(1.0, 20.0)), guidance_scale(MADE)
    denoise, exact = (GuidedDenoiser(net, MADE, scale, shortcuts=s) for s in (chosen, EXACT))
    for sigma in (torch.tensor(50.0), torch.tensor(0.5)):
        expected = exact.both(X, sigma)[1]
        torch.testing.assert_close(denoise(X, sigma), expected, rtol=0, atol=1e-3)
    inside = torch.tensor(5.0)
    assert torch.equal(denoise(X, inside), exact(X, inside))


def test_nothing_left_out_is_bit_equal_to_keeping_nothing(net):
    """Where all evaluations that could be shallow are whole, features are kept for nobody."""
    preset = replace(PRESETS["fast"], shortcuts=Shortcuts(shallow=(99,)))
    ends = [
        chosen.sample(
            GuidedDenoiser(net, MADE, guidance_scale(MADE), shortcuts=chosen.shortcuts),
            noise_stream(0, (4, 4, 4, 4)),
        )
        for chosen in (preset, replace(preset, shortcuts=EXACT))
    ]
    assert torch.equal(*ends)
