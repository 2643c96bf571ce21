"""The published alignment: every stage from the golden input of that stage, and all at once."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from tests.golden.packs import assert_close, assert_poses_close
from tests.golden.published.alignment import (
    Records,
    State,
    Tree,
    align_as_published,
    cleaned,
    initialised,
    optimised,
    rates,
    spanning_tree,
)
from tests.golden.published.registration import register_poses
from vmem.cameras import Similarity

PACKS = "08_global_alignment"
pytestmark = pytest.mark.usefixtures("one_thread")
INITIAL = 1e-3
"""Relative: the published registration sums in f32."""
OPTIMISED = 1e-5
"""Relative, from the golden initialisation."""
ROUNDING = 1e-4
"""Share of pixels that may round to a neighbour; none does in the pack that comes along."""


class Case:
    """One case of a pack, its tensors by what follows ``gN.``."""

    def __init__(self, pack, i: int) -> None:
        self.tensors = {
            name.split(".", 1)[1]: tensor
            for name, tensor in pack.tensors.items()
            if name.startswith(f"g{i}.")
        }
        self.settings = {**pack.config, **pack.config["cases"][i]}
        self.same_opencv = cv2.__version__ == pack.config["versions"]["cv2"]
        first, rest = self["in.pts_self0"], self["in.pts_other"]
        confidence = np.concatenate([self["in.conf_self0"][None], self["in.conf_other"]])
        self.records = Records(np.concatenate([first[None], rest]), confidence)
        focal = self["mst.focals"]
        self.tree = Tree(self["mst.poses"], np.where(focal < 0, np.nan, focal))
        self.known_depth = self.tensors.get("in.known_depths")
        start = self.records, self.tree, self["in.poses"], self.known_depth
        s, R, T = (self[f"align.{name}"] for name in "sRT")
        self.initial = initialised(*start, Similarity(float(s), R.astype(float), T.astype(float)))
        # Where no camera was found they coincide, and rounding alone decides on a rotation.
        self.coincide = len(focal) > 1 and bool((focal[1:] < 0).all())

    def __getitem__(self, name: str):
        return self.tensors[name]

    def golden_state(self, stage: str) -> State:
        return replace(
            self.initial,
            depth=self[f"{stage}.depth"],
            focal=self[f"{stage}.focal"][:, 0],
            pairs=self[f"{stage}.pw_poses"],
        )


@pytest.fixture
def cases(pack) -> list[Case]:
    found = [Case(pack, i) for i in range(len(pack.config["cases"]))]
    assert found
    return found


def close(got, wanted, tolerance) -> None:
    """Equal relative to the largest value of the field, however small that is."""
    assert_close(got, wanted, tolerance, floor=0)


def same_pairs(got, wanted, tolerance) -> None:
    """Pair transforms equal, whichever of the two quaternions of a rotation they hold."""
    turned = np.sum(got[:, :4] * wanted[:, :4], axis=1) < 0
    got = got.copy()
    got[turned, :4] *= -1
    close(got, wanted, tolerance)


def test_spanning_tree(cases):
    """PnP depends on the version of OpenCV."""
    for case in cases:
        close(case.records.points, case["mst.pts3d"], INITIAL)
        tree = spanning_tree(case.records)
        np.testing.assert_allclose(tree.focal[0], case.tree.focal[0], rtol=1e-5)
        np.testing.assert_array_equal(np.isnan(tree.focal), np.isnan(case.tree.focal))
        if case.same_opencv:
            np.testing.assert_allclose(tree.focal, case.tree.focal, rtol=1e-5)
            assert_poses_close(tree.c2w, case["mst.poses"], 1e-4)


def test_registration(cases):
    for case in cases:
        found = register_poses(case["mst.poses"], case["in.poses"])
        tolerance = 2e-3 if case.coincide else INITIAL
        np.testing.assert_allclose(found.scale, case["align.s"], rtol=tolerance)
        assert_close(found.R, case["align.R"], tolerance)
        assert_close(found.T, case["align.T"], tolerance)


def test_initialisation(cases):
    for case in cases:
        close(case.initial.depth, case["init.depth"], INITIAL)
        np.testing.assert_allclose(case.initial.focal, case["init.focal"][:, 0], rtol=INITIAL)
        same_pairs(case.initial.pairs, case["init.pw_poses"], INITIAL)


def test_optimisation(cases):
    for case in cases:
        niter, lr = case.settings["niter"], case.settings["lr"]
        np.testing.assert_allclose(rates(lr, niter), case["lr"], rtol=1e-6)
        state, loss = optimised(case.golden_state("init"), case.records, lr=lr, niter=niter)
        np.testing.assert_allclose(loss, case["loss"], rtol=OPTIMISED)
        np.testing.assert_allclose(state.focal, case["out.focal"][:, 0], rtol=OPTIMISED)
        same_pairs(state.pairs, case["out.pw_poses"], OPTIMISED)
        close(state.points(), case["out.pts3d"], OPTIMISED)


def test_optimisation_leaves_depth_as_it_was(cases):
    """Published depth is the initial one to the bit: all that moves is the focal length."""
    for case in cases:
        np.testing.assert_array_equal(case["out.depth"], case["init.depth"])
        state, _ = optimised(case.golden_state("init"), case.records, niter=3)
        assert state.depth is case["init.depth"]
        assert not np.array_equal(state.focal, case["init.focal"][:, 0])


def test_cleaning(cases):
    for case in cases:
        got = cleaned(case.golden_state("out"), case.records.confidence)
        assert (got != case["out.conf"]).mean() <= ROUNDING
        assert (got == 0).any()


def test_all_at_once(cases):
    for case in cases:
        h, w = case.records.confidence.shape[1:]
        np.testing.assert_array_equal(case["out.pp"], [[w / 2, h / 2]] * len(case["out.pp"]))
        if case.coincide or not case.same_opencv:
            continue
        found = align_as_published(
            case.records,
            case["in.poses"],
            case.known_depth,
            lr=case.settings["lr"],
            niter=case.settings["niter"],
        )
        close(found.points, case["out.pts3d"], INITIAL)
        close(found.state.depth, case["out.depth"], INITIAL)
        assert (found.confidence != case["out.conf"]).mean() < INITIAL
