"""Samplers, solvers, guidance: against a denoiser whose answer is known, and in how they end."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from vmem.generation.diffusion.checks import NotFiniteError
from vmem.generation.diffusion.conditioning import Conditioned, condition
from vmem.generation.diffusion.sampling.guidance import GuidedDenoiser, guidance_scale
from vmem.generation.diffusion.sampling.presets import PRESETS, PresetError, preset
from vmem.generation.diffusion.sampling.sampler import euler, noise_stream
from vmem.generation.diffusion.sampling.schedule import (
    LEVELS,
    ScheduleError,
    quantise,
    sigma_table,
    sigmas,
    spread_sigmas,
)
from vmem.generation.diffusion.sampling.solvers import multistep
from vmem.progress import Cancelled

SHAPE = (8, 4, 6, 10)
MEAN, SPREAD = 0.3, 0.8


def gaussian(x: Tensor, sigma: Tensor) -> Tensor:
    """The exact denoiser of data spread normally about MEAN."""
    x, variance = x.double(), sigma.double() ** 2
    return ((SPREAD**2 * x + variance * MEAN) / (SPREAD**2 + variance)).float()


def exact(z0: Tensor, levels: Tensor) -> Tensor:
    """Where the differential equation of that denoiser leads, in f64."""
    first, last = float(levels[0]), float(levels[-1])
    shrink = math.sqrt((SPREAD**2 + last**2) / (SPREAD**2 + first**2))
    return MEAN + (z0.double() * math.sqrt(1 + first**2) - MEAN) * shrink


def ratio_levels(n: int) -> Tensor:
    return torch.from_numpy(np.geomspace(80, 0.05, n + 1)).float()


# --- levels ----------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [1, 2, 50, 999, 1000])
def test_levels_descend_to_zero(n):
    got = sigmas(n)
    assert len(got) == n + 1
    assert got[-1] == 0
    assert got[0] == sigma_table()[-1]
    assert bool((got[:-1] > got[1:]).all())


@pytest.mark.parametrize("n", [0, -1, LEVELS + 1])
def test_impossible_numbers_of_steps(n):
    with pytest.raises(ScheduleError, match=str(n)):
        sigmas(n)


def test_spread_levels_are_known_to_the_network():
    table = sigma_table()
    levels = spread_sigmas(10, lowest=0.1)
    assert len(levels) == 11
    assert bool((levels[:-1] > levels[1:]).all())
    assert all(level in table for level in levels[:-1])
    assert 0.09 < levels[-2] < 0.11
    with pytest.raises(ScheduleError, match="distinct"):
        spread_sigmas(900, lowest=0.1)


@given(st.integers(0, LEVELS - 1))
def test_quantising_a_level_gives_its_index(index):
    table = sigma_table()
    assert quantise(table[index], table) == index


def test_quantising_beyond_the_ends():
    assert quantise(torch.tensor([0.0, 1e6]), sigma_table()).tolist() == [0, LEVELS - 1]


# --- orders of convergence -------------------------------------------------------------------


def run(solver: str, z0: Tensor, levels: Tensor) -> Tensor:
    if solver == "euler":
        return euler(gaussian, lambda: z0, levels, noise=False)
    return multistep(solver, gaussian, lambda: z0, levels)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(("solver", "order"), [("euler", 1), ("dpm++", 2), ("unipc", 3)])
def test_solvers_converge_at_their_order(solver, order):
    z0 = torch.randn(SHAPE, generator=torch.Generator().manual_seed(0))
    errors = [
        float((run(solver, z0, ratio_levels(n)) - exact(z0, ratio_levels(n))).square().mean())
        ** 0.5
        for n in (20, 40, 80)
    ]
    orders = [math.log2(coarse / fine) for coarse, fine in itertools.pairwise(errors)]
    assert orders == pytest.approx([order, order], abs=0.3)


@pytest.mark.parametrize("name", PRESETS)
def test_presets_reach_the_data(name):
    """From noise to samples of the right mean and spread, within the 12 % that ten steps miss."""
    z = PRESETS[name].sample(gaussian, noise_stream(1, (64, 4, 8, 8)))
    assert float(z.mean()) == pytest.approx(MEAN, abs=0.05)
    assert float(z.std()) == pytest.approx(SPREAD, rel=0.12)


def test_fewer_steps_stay_nearer_to_the_truth_than_euler():
    z0 = torch.randn(SHAPE, generator=torch.Generator().manual_seed(0))

    def error(name: str, levels: Tensor) -> float:
        return float((run(name, z0, levels) - exact(z0, levels)).square().mean())

    fast = PRESETS["fast"].sigmas()
    assert error("dpm++", fast) < error("euler", fast)


def test_an_unknown_preset_lists_the_known_ones():
    with pytest.raises(PresetError, match="reference, balanced, fast"):
        preset("slow")


# --- seeds, hooks, failures ------------------------------------------------------------------


def test_a_seed_gives_one_stream_of_noise():
    first, again, other = (noise_stream(seed, SHAPE) for seed in (5, 5, 6))
    draws = [first() for _ in range(3)]
    assert all(torch.equal(draw, again()) for draw in draws)
    assert not torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], other())


@pytest.mark.parametrize("name", PRESETS)
def test_seeds_reproduce(name):
    def once(seed: int) -> Tensor:
        return PRESETS[name].sample(gaussian, noise_stream(seed, SHAPE))

    assert torch.equal(once(3), once(3))
    assert not torch.equal(once(3), once(4))


def test_the_global_generator_is_left_alone():
    torch.manual_seed(0)
    before = torch.get_rng_state()
    for chosen in PRESETS.values():
        chosen.sample(gaussian, noise_stream(0, SHAPE))
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("name", PRESETS)
def test_the_hook_sees_every_evaluation(name):
    chosen, seen = PRESETS[name], []
    calls = []

    def denoise(x, sigma):
        calls.append(float(sigma))
        return gaussian(x, sigma)

    def hook(step, total, estimate):
        seen.append((step, total))
        assert estimate.shape == SHAPE
        assert len(calls) == step

    chosen.sample(denoise, noise_stream(0, SHAPE), hook)
    assert seen == [(i + 1, chosen.steps) for i in range(chosen.steps)]


@pytest.mark.parametrize("name", PRESETS)
def test_cancelling_stops_within_a_step(name):
    calls = []

    def denoise(x, sigma):
        calls.append(sigma)
        return gaussian(x, sigma)

    def hook(step, total, estimate):
        if step == 3:
            raise Cancelled("enough")

    with pytest.raises(Cancelled, match="enough"):
        PRESETS[name].sample(denoise, noise_stream(0, SHAPE), hook)
    assert len(calls) == 3


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
@pytest.mark.parametrize("name", PRESETS)
def test_nan_stops_and_names_the_step(name, bad):
    shown = []

    def denoise(x, sigma):
        out = gaussian(x, sigma)
        if len(shown) == 1:
            out[5] = bad
        return out

    def hook(step, total, estimate):
        shown.append(step)

    with pytest.raises(NotFiniteError, match=r"denoising, step 2 of \d+: .*frames 5 of 8"):
        PRESETS[name].sample(denoise, noise_stream(0, SHAPE), hook)
    assert shown == [1]


# --- guidance --------------------------------------------------------------------------------


def turned(angle: float, offset: float = 0.0) -> np.ndarray:
    """An OpenGL pose turned about the vertical by ``angle`` degrees, ``offset`` to the right."""
    c, s = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    pose = np.eye(4)
    pose[:3, :3] = [[c, 0, s], [0, 1, 0], [-s, 0, c]]
    pose[0, 3] = offset
    return pose


def sequence(poses: list[np.ndarray], n_context: int = 1, focal: dict[int, float] | None = None):
    n = len(poses)
    K = np.tile(np.array([[1.0, 0, 0.5], [0, 1, 0.5], [0, 0, 1]]), (n, 1, 1))
    for i, f in (focal or {}).items():
        K[i, 0, 0] = f
    known = np.arange(n) < n_context
    generator = torch.Generator().manual_seed(0)
    latents = torch.randn(n_context, 4, 4, 4, generator=generator)
    embeddings = torch.randn(n_context, 3, generator=generator)
    return condition(np.stack(poses), K, known, latents, embeddings, (4, 4))


def test_guidance_is_weak_where_the_context_looks_the_same_way():
    made = sequence([turned(0), turned(9), turned(11), turned(0, 0.5), turned(0)], focal={4: 1.5})
    assert guidance_scale(made).tolist() == pytest.approx([1.2, 1.2, 2, 2, 2])
    assert guidance_scale(made, "vanilla", cfg=3).tolist() == [3] * 5


def test_three_conditions_may_be_met_by_three_context_views():
    """As published: turned like the second, standing like the first."""
    made = sequence([turned(90), turned(0, 1.0), turned(0)], n_context=2)
    assert guidance_scale(made).tolist() == pytest.approx([1.2, 1.2, 1.2])


@given(
    st.lists(st.tuples(st.floats(-180, 180), st.floats(-1, 1)), min_size=2, max_size=8),
    st.sampled_from(["multiview", "multiview_temporal"]),
    st.data(),
)
def test_guidance_lies_between_its_ends_and_is_least_at_the_context(where, guider, data):
    n_context = data.draw(st.integers(1, len(where) - 1))
    poses = [turned(*place) for place in where]
    got = guidance_scale(sequence(poses, n_context), guider)
    assert got[:n_context].tolist() == pytest.approx([1.2] * n_context)
    assert float(got.min()) >= 1.2 - 1e-6
    assert float(got.max()) <= 2.0 + 1e-6


@given(st.permutations(range(1, 6)))
def test_multiview_guidance_does_not_depend_on_the_order_of_targets(order):
    poses = [turned(0)] + [turned(7 * i, 0.1 * (i > 3)) for i in range(1, 6)]
    straight = guidance_scale(sequence(poses))
    mixed = guidance_scale(sequence([poses[0], *(poses[i] for i in order)]))
    assert mixed[1:].tolist() == straight[list(order)].tolist()


def test_temporal_guidance_grows_away_from_the_context():
    made = sequence([turned(0), turned(30), turned(60), turned(90)])
    got = guidance_scale(made, "multiview_temporal", cfg=2.2, cfg_min=1.0).tolist()
    assert got == pytest.approx([1.0, 1.4, 1.8, 2.2])


class Recorder:
    """A network that remembers what it was given and answers with a part of it."""

    def __init__(self) -> None:
        self.given: list[tuple[Tensor, Tensor]] = []

    def prepare(self, crossattn, dense, hw, num_frames):
        return crossattn

    def __call__(self, x, t, *, prepared):
        self.given.append((x, t))
        return x[:, :4] * 0.1 + prepared.mean(dim=(1, 2))[:, None, None, None]


def made_and_noise() -> tuple[Conditioned, Tensor]:
    made = sequence([turned(0), turned(30), turned(60), turned(90)], n_context=2)
    return made, torch.randn(4, 4, 4, 4, generator=torch.Generator().manual_seed(1))


def test_known_latents_enter_clean_and_on_one_side_only():
    made, x = made_and_noise()
    network, sigma = Recorder(), sigma_table()[600]
    GuidedDenoiser(network, made, guidance_scale(made))(x, sigma)
    (given, t), c_in = network.given[0], 1 / torch.sqrt(sigma**2 + 1)
    without, with_context = given.chunk(2)
    torch.testing.assert_close(without[:, :4], x * c_in)
    torch.testing.assert_close(with_context[:2, :4], made.c.replace[:2, :4] * c_in)
    torch.testing.assert_close(with_context[2:, :4], x[2:] * c_in)
    assert t.tolist() == [600] * 8
    assert float(without[:, 4].abs().max()) == 0
    torch.testing.assert_close(without[:, 5:], with_context[:, 5:])


def test_one_pass_or_two_give_the_same():
    made, x = made_and_noise()
    scale = guidance_scale(made)
    one, two = Recorder(), Recorder()
    a = GuidedDenoiser(one, made, scale)(x, torch.tensor(3.0))
    b = GuidedDenoiser(two, made, scale, batched=False)(x, torch.tensor(3.0))
    torch.testing.assert_close(a, b)
    assert [len(given) for given, _ in one.given] == [8]
    assert [len(given) for given, _ in two.given] == [4, 4]


def test_strength_one_is_the_conditioned_estimate():
    made, x = made_and_noise()
    denoise = GuidedDenoiser(Recorder(), made, torch.ones(4))
    torch.testing.assert_close(denoise(x, torch.tensor(3.0)), denoise.both(x, torch.tensor(3.0))[1])
