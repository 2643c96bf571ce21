"""One score for all layouts, so that a box and a curtain can be compared.

A layout fits the photo if what lies below its walls looks like floor and the rest does not, if its
creases run along edges, and if no line crosses a surface in a direction that the surface does not
have. With w(u) the inverse distance of the walls in column u (level_grid.py), whose foot is seen in
row v = w(u), and A the share of the photo in a cell,

    score = FLOOR_WEIGHT       (sum of floor A below the foot - sum of floor A above it)
          + FLOOR_EDGE_WEIGHT  mean excess of edges across the curve v = w(u)
          + CORNER_EDGE_WEIGHT mean excess of upright edges where walls meet
          - LINE_WEIGHT        sum of A on lines that their surface cannot carry,

and a ceiling at height c adds the terms of its rim, v = -c w(u). All terms are shares of the photo:
scores lie near 0, for a layout that explains nothing, to 1. A region of the level grid is a run of
rows in each column, so with sums accumulated down the columns (``*_above``) each layout costs a few
look-ups a column, and thousands are scored at once: k layouts are arrays (k, n).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from jaxtyping import Bool, Float32, Float64
from numpy.typing import NDArray

from vmem.arrays import F64
from vmem.geometry.layout.photo_cues import Axis, Evidence

FLOOR_WEIGHT = 1.0
FLOOR_EDGE_WEIGHT = 0.35
CEILING_EDGE_WEIGHT = 0.3
CORNER_EDGE_WEIGHT = 0.1
LINE_WEIGHT = 1.2

T = TypeVar("T", bound=np.generic)


@dataclass(frozen=True, eq=False)
class Scorer:
    """A photo's cues, accumulated down the columns of the level grid of m rows and n columns.

    Row r of an array ``*_above`` is the sum of its cue over the rows above the upper edge of row r;
    it has m + 1 rows, m1 for short.
    """

    evidence: Evidence
    """The cues themselves."""
    floor_above: Float64[np.ndarray, "m1 n"]
    """Of the floor likelihood, -1 to 1."""
    lines_above: Float64[np.ndarray, "3 m1 n"]
    """Of the lines parallel to each Axis, 0 to 1."""
    upright_above: Float32[np.ndarray, "m1 n"]
    """Of the excess strength of upright edges."""
    column_share: Float64[np.ndarray, " n"]
    """Share of the photo in each column."""

    @staticmethod
    def of(evidence: Evidence, lines: Float64[np.ndarray, "3 m n"]) -> Scorer:
        """Accumulate the cues, weighted by the share of the photo in each cell; ``lines`` as
        photo_cues.line_maps gives them."""
        area = evidence.grid.area
        excess = np.abs(evidence.edge_u) - evidence.texture
        return Scorer(
            evidence=evidence,
            floor_above=_accumulate(evidence.floor * area),
            lines_above=np.stack([_accumulate(one * area) for one in lines]),
            upright_above=_accumulate(excess * evidence.grid.inside),
            column_share=area.sum(0),
        )

    def score_walls(
        self, wall: Float64[np.ndarray, "k n"], sideways: Bool[np.ndarray, "k n"] | None = None
    ) -> Float64[np.ndarray, " k"]:
        """Scores of k layouts without a ceiling.

        ``wall``: inverse distance at each column. ``sideways``: True where the wall
        runs along the room, False where across it; without it, directions are not judged.
        """
        foot = self._rows(wall)
        # Below the foot minus above it: (total - above) - above.
        floor_total = self.floor_above[-1]
        floor = (floor_total - 2 * self._read(self.floor_above, foot)).sum(1)
        # Upright lines below the foot would lie on the floor.
        vertical = self.lines_above[Axis.VERTICAL]
        wrong = (vertical[-1] - self._read(vertical, foot)).sum(1)
        score = FLOOR_WEIGHT * floor + FLOOR_EDGE_WEIGHT * self._crease(wall)
        if sideways is not None:
            wrong = wrong + self._wrong_on_walls(foot, sideways)
            score = score + CORNER_EDGE_WEIGHT * self._corners(wall, sideways)
        return score - LINE_WEIGHT * wrong

    def score_ceiling(
        self,
        wall: Float64[np.ndarray, "k n"],
        ceiling: Float64[np.ndarray, " k"],
        sideways: Bool[np.ndarray, "k n"] | None = None,
    ) -> Float64[np.ndarray, " k"]:
        """What ceilings of these heights add to the scores of the walls under them."""
        rim = -wall * ceiling[:, None]
        top = self._rows(rim)
        wrong = self._read(self.lines_above[Axis.VERTICAL], top).sum(1)
        if sideways is not None:
            # What was counted as wrong on the wall above the rim is on the ceiling, which carries
            # both horizontal directions.
            wrong = wrong - self._wrong_on_walls(top, sideways)
        return CEILING_EDGE_WEIGHT * self._crease(rim) - LINE_WEIGHT * wrong

    def _wrong_on_walls(self, end: NDArray[np.intp], sideways: NDArray[np.bool_]) -> F64:
        """(k,) lines above row ``end`` (k, n) that walls of these directions cannot carry."""
        across = self._read(self.lines_above[Axis.ACROSS], end)
        along = self._read(self.lines_above[Axis.ALONG], end)
        return np.where(sideways, across, along).sum(1)

    def _rows(self, v: F64) -> NDArray[np.intp]:
        rows = np.rint(self.evidence.grid.position(v))
        return rows.clip(0, len(self.floor_above) - 1).astype(np.intp)

    @staticmethod
    def _read(above: NDArray[T], rows: NDArray[np.intp]) -> NDArray[T]:
        """(k, n) values of a map (m, n) at ``rows`` (k, n) of each column."""
        # One flat index is read twice as fast as a pair of them.
        return above.take(rows * above.shape[1] + np.arange(above.shape[1]))

    def _crease(self, v: F64) -> F64:
        """(k,) mean excess of edge strength across the curves ``v`` (k, n), 0 outside the photo.

        The curve (u, v(u)) has the normal (-v', 1) / sqrt(1 + v'^2); the strength across it is the
        gradient (edge_u, edge_v) along that normal. Excess is what it has over a chance edge.
        """
        grid = self.evidence.grid
        position = grid.position(v) - 0.5
        rows = np.rint(position).astype(np.intp)
        inside = (rows >= 0) & (rows < len(grid.v))
        rows = rows.clip(0, len(grid.v) - 1)
        inside &= self._read(grid.inside, rows)
        slope = np.gradient(v, grid.step, axis=-1)
        edge_u, edge_v = (
            self._read(self.evidence.edge_u, rows),
            self._read(self.evidence.edge_v, rows),
        )
        across = edge_v - slope * edge_u
        strength = np.abs(across) / np.sqrt(1 + slope**2)
        excess = np.where(inside, strength - self.evidence.texture, 0)
        return excess @ self.column_share

    def _corners(self, wall: F64, sideways: NDArray[np.bool_]) -> F64:
        """(k,) mean excess of upright edges along the columns where walls meet."""
        foot, head = self._rows(wall), self._rows(-0.5 * wall)
        upright = self._read(self.upright_above, foot) - self._read(self.upright_above, head)
        strength = upright / np.maximum(foot - head, 1)
        corner = np.zeros(sideways.shape, bool)
        corner[:, 1:] = sideways[:, 1:] != sideways[:, :-1]
        # The columns on both sides of a corner count: it need not fall between two of them.
        strength = np.maximum(strength, np.roll(strength, 1, axis=1))
        return (strength * corner).sum(1) / 2


def _accumulate(cue: NDArray[np.floating]) -> NDArray[np.floating]:
    return np.pad(np.cumsum(cue, axis=0), ((1, 0), (0, 0)))
