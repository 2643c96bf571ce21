"""One measure of fit for all layouts, so that a box and a curtain can be compared.

A layout explains the photo well if what lies below its walls looks like floor and the rest does
not, if its creases run along edges, and if no line crosses a surface in a direction that the
surface does not have. All terms are shares of the photo, so scores lie near 0 (explains nothing)
to 1. In the level grid every region is a run of rows in each column, so with sums accumulated
down the columns a layout costs a few look-ups a column, whatever its size.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
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
    """Accumulated evidence; ``lines`` (3, m, n) as evidence.line_maps gives them.

    Every ``*_above`` is (m + 1, n): the sum of its cue over the rows above an edge between rows.
    """

    evidence: Evidence
    floor_above: F64
    lines_above: F64
    upright_above: F64
    column_share: F64

    @staticmethod
    def of(evidence: Evidence, lines: F64) -> Scorer:
        """Accumulate the cues, weighted by the share of the photo in each cell."""
        area = evidence.grid.area
        excess = np.abs(evidence.edge_u) - evidence.texture
        return Scorer(
            evidence=evidence,
            floor_above=_accumulate(evidence.floor * area),
            lines_above=np.stack([_accumulate(one * area) for one in lines]),
            upright_above=_accumulate(excess * evidence.grid.inside),
            column_share=area.sum(0),
        )

    def score_walls(self, wall: F64, sideways: NDArray[np.bool_] | None = None) -> F64:
        """(k,) scores of k layouts without a ceiling.

        wall (k, n): inverse distance at each column · sideways (k, n): True where the wall runs
        along the room, False where across it; if left out, its direction is not judged.
        """
        foot = self._rows(wall)
        floor_total = self.floor_above[-1]
        floor = (floor_total - 2 * self._read(self.floor_above, foot)).sum(1)
        vertical = self.lines_above[Axis.VERTICAL]
        wrong = (vertical[-1] - self._read(vertical, foot)).sum(1)
        score = FLOOR_WEIGHT * floor + FLOOR_EDGE_WEIGHT * self._crease(wall)
        if sideways is not None:
            wrong = wrong + self._wrong_on_walls(foot, sideways)
            score = score + CORNER_EDGE_WEIGHT * self._corners(wall, sideways)
        return score - LINE_WEIGHT * wrong

    def score_ceiling(
        self,
        wall: F64,
        ceiling: F64,
        sideways: NDArray[np.bool_] | None = None,
    ) -> F64:
        """(k,) what ceilings of heights (k,) add to the scores of the walls under them."""
        rim = -wall * ceiling[:, None]
        top = self._rows(rim)
        wrong = self._read(self.lines_above[Axis.VERTICAL], top).sum(1)
        if sideways is not None:
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
        """(k, n) what stands at ``rows`` (k, n) of each column of a map (m, n)."""
        # One flat index is read twice as fast as a pair of them.
        return above.take(rows * above.shape[1] + np.arange(above.shape[1]))

    def _crease(self, v: F64) -> F64:
        """(k,) mean excess of edge strength across the curves ``v`` (k, n), 0 outside the photo."""
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


def _accumulate(cue: F64) -> F64:
    return np.pad(np.cumsum(cue, axis=0), ((1, 0), (0, 0)))
