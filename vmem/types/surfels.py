"""Surfels: oriented disks that stand for the surfaces memory knows.

A surfel is a position, a unit normal that faces the camera which made it, a radius and a colour.
They come from point maps, one per sample of a coarse grid over the frame.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Integer, UInt8

from vmem.cameras import LARGEST
from vmem.errors import VMemError


class SurfelError(VMemError, ValueError):
    """Surfel arrays that contradict each other or hold values that no disk can have."""


@dataclass(frozen=True, eq=False, repr=False)
class Surfels:
    """S disks as arrays."""

    position: Float32[np.ndarray, "S 3"]
    """Centres in the world."""
    normal: Float32[np.ndarray, "S 3"]
    """Unit normals, facing the camera that made the disk."""
    radius: Float32[np.ndarray, " S"]
    """Scene units."""
    color: UInt8[np.ndarray, "S 3"]
    """RGB of the surface in the view that made the surfel."""

    def __len__(self) -> int:
        return len(self.position)

    def __repr__(self) -> str:
        return f"<Surfels: {len(self):,} disks>"

    def __getitem__(
        self, index: slice | Bool[np.ndarray, " S"] | Integer[np.ndarray, " n"]
    ) -> Surfels:
        return Surfels(
            self.position[index], self.normal[index], self.radius[index], self.color[index]
        )

    @staticmethod
    def empty() -> Surfels:
        """No surfels."""
        three = np.zeros((0, 3), np.float32)
        return Surfels(three, three, np.zeros(0, np.float32), np.zeros((0, 3), np.uint8))

    @staticmethod
    def concatenate(parts: list[Surfels]) -> Surfels:
        """All parts, one after the other."""
        return Surfels(
            np.concatenate([part.position for part in parts]),
            np.concatenate([part.normal for part in parts]),
            np.concatenate([part.radius for part in parts]),
            np.concatenate([part.color for part in parts]),
        )

    def validated(self, *, gaps: bool = False) -> Surfels:
        """Self, or SurfelError that names the first bad surfel and what is wrong with it.

        ``gaps`` allows a radius of exactly 0, which leaves a surfel out of a drawing.
        """
        kinds = [type(part).__name__ for part in vars(self).values()]
        if set(kinds) != {"ndarray"}:
            raise SurfelError(f"position, normal, radius and color must be arrays; got {kinds}")
        n = len(self.position)
        shapes = (self.position.shape, self.normal.shape, self.radius.shape, self.color.shape)
        if shapes != ((n, 3), (n, 3), (n,), (n, 3)):
            raise SurfelError(f"expected shapes (S, 3), (S, 3), (S,), (S, 3); got {shapes}")
        with np.errstate(over="ignore", invalid="ignore"):
            length = np.einsum("sk,sk->s", self.normal, self.normal)
            # Put so that NaN fails them.
            checks = {
                "a position that is not finite": (np.abs(self.position) < LARGEST).all(axis=1),
                "a radius that is not positive and finite": (self.radius < LARGEST)
                & ((self.radius >= 0) if gaps else (self.radius > 0)),
                "a normal that is not of unit length": np.abs(length - 1) < 2e-3,
            }
        for wrong, fine in checks.items():
            if not fine.all():
                i = int(np.argmin(fine))
                raise SurfelError(
                    f"surfel {i} has {wrong} (position {self.position[i].tolist()}, normal "
                    f"{self.normal[i].tolist()}, radius {self.radius[i]}): leave such surfels out"
                )
        return self
