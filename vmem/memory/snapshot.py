"""An immutable picture of the memory."""

from __future__ import annotations

from dataclasses import InitVar, dataclass, fields
from functools import cached_property

import numpy as np
from jaxtyping import Float64, Int32

from vmem.arrays import I32
from vmem.cameras import Camera
from vmem.errors import VMemError
from vmem.kernels.parallel import read_only
from vmem.memory.links import LinkIndex
from vmem.memory.links import truncated as truncated_links
from vmem.raster import Blocks, RasterError, rasterize
from vmem.raster.blocks import truncated as truncated_blocks
from vmem.types import Retrieval, StepEnd, SurfelBuffers, Surfels, View


class MemoryStateError(VMemError, RuntimeError):
    """An operation that this memory's history does not allow."""


@dataclass(frozen=True, eq=False, repr=False)
class MemorySnapshot:
    """An immutable picture of the memory; readers need no lock.

    What follows from these (blocks, seen_by, poses, K_normalized) is computed on first use and
    kept. A ViewMemory passes grown_blocks and grown_links, its own copies extended by what is new;
    ``earlier`` is a memory whose first views are, as far as both reach, the same.
    """

    surfels: Surfels
    """All S surfels, in the order in which they were spawned."""
    link_surfel: Int32[np.ndarray, " L"]
    """Of each link "view saw surfel", the surfel."""
    link_view: Int32[np.ndarray, " L"]
    """Of each link, the view."""
    views: tuple[View, ...]
    """All V views, oldest first."""
    steps: tuple[StepEnd, ...]
    """Ends of step 0 (the photo), 1, ..."""
    retrievals: tuple[Retrieval | None, ...]
    """What led to each step."""
    grown_blocks: InitVar[Blocks | None] = None
    grown_links: InitVar[LinkIndex | None] = None
    earlier: InitVar[MemorySnapshot | None] = None

    def __post_init__(
        self,
        grown_blocks: Blocks | None,
        grown_links: LinkIndex | None,
        earlier: MemorySnapshot | None,
    ) -> None:
        # Not fields: `dataclasses.replace` with other surfels or links must not carry them over.
        object.__setattr__(self, "_blocks", grown_blocks)
        object.__setattr__(self, "_links", grown_links)
        # Its arrays and not itself, or no memory would ever be freed.
        known = {} if earlier is None else vars(earlier)
        object.__setattr__(self, "_poses", known.get("poses", np.zeros((0, 4, 4))))
        object.__setattr__(self, "_K", known.get("K_normalized", np.zeros((0, 3, 3))))

    def __repr__(self) -> str:
        surfels, links = len(self.surfels), len(self.link_surfel)
        return f"<MemorySnapshot: {len(self.views)} views, {surfels:,} surfels, {links:,} links>"

    @staticmethod
    def empty() -> MemorySnapshot:
        """A memory that has seen nothing."""
        none = np.zeros(0, np.int32)
        return MemorySnapshot(Surfels.empty(), none, none, (), (), ())

    @cached_property
    def blocks(self) -> Blocks:
        """Bounds of blocks of surfels, for the rasterizer. SurfelError for what is no disk."""
        known: Blocks | None = vars(self)["_blocks"]
        return known or Blocks.of(self.surfels.validated())

    @cached_property
    def seen_by(self) -> LinkIndex:
        """The links sorted by surfel, for votes."""
        known: LinkIndex | None = vars(self)["_links"]
        return known or LinkIndex.of(
            len(self.surfels), len(self.views), self.link_surfel, self.link_view
        )

    @cached_property
    def poses(self) -> Float64[np.ndarray, "V 4 4"]:
        """c2w of all views, read-only."""
        known = vars(self)["_poses"][: len(self.views)]
        c2w = [view.camera.c2w for view in self.views[len(known) :]]
        return read_only(np.concatenate([known, np.array(c2w).reshape(-1, 4, 4)]))[0]

    @cached_property
    def K_normalized(self) -> Float64[np.ndarray, "V 3 3"]:
        """Intrinsics of all views, rows 0 and 1 over the image's width and height, read-only."""
        known = vars(self)["_K"][: len(self.views)]
        K = [view.camera.resized((1, 1)).K for view in self.views[len(known) :]]
        return read_only(np.concatenate([known, np.array(K).reshape(-1, 3, 3)]))[0]

    def at_step(self, step: int) -> MemorySnapshot:
        """This memory as it was at the end of ``step``, one of ``range(len(steps))``.

        Raises MemoryStateError for any other.
        """
        end = self._end(step)
        links: LinkIndex | None = vars(self).get("seen_by", vars(self)["_links"])
        if links is not None:
            undone = self.link_surfel[end.n_links :]
            links = truncated_links(links, end.n_surfels, end.n_views, undone)
        return MemorySnapshot(
            self.surfels[: end.n_surfels],
            self.link_surfel[: end.n_links],
            self.link_view[: end.n_links],
            self.views[: end.n_views],
            self.steps[: step + 1],
            self.retrievals[: step + 1],
            truncated_blocks(self.blocks, end.n_surfels),
            links,
            self,
        )

    def growth(self, step: int) -> tuple[Surfels, I32, I32]:
        """Copies of what ``step`` added: its surfels, and the surfel and the view of each of its
        links. Raises MemoryStateError for a step that is not there."""
        end = self._end(step)
        start = self.steps[step - 1] if step else StepEnd(0, 0, 0)
        surfels = self.surfels[start.n_surfels : end.n_surfels]
        links = slice(start.n_links, end.n_links)
        return (
            Surfels(*(getattr(surfels, name.name).copy() for name in fields(Surfels))),
            self.link_surfel[links].copy(),
            self.link_view[links].copy(),
        )

    def _end(self, step: int) -> StepEnd:
        if step not in range(len(self.steps)):
            raise MemoryStateError(
                f"there is no step {step!r}: this memory has {len(self.steps)}, counted from 0"
            )
        return self.steps[step]


def render(
    memory: MemorySnapshot, camera: Camera, hw: tuple[int, int] | None = None
) -> SurfelBuffers:
    """What ``camera`` sees of the memory's surfels: index, depth and cosine, (H, W) each.

    hw: another size of image. See `vmem.raster.rasterize` for what is drawn and what is raised;
    RasterError also for what is no MemorySnapshot.
    """
    if not isinstance(memory, MemorySnapshot):
        raise RasterError(
            f"render draws a memory, as session.memory or ViewMemory.snapshot() give it; got "
            f"{type(memory).__name__}"
        )
    camera = camera if hw is None else camera.resized(hw)
    return rasterize(memory.surfels, camera, blocks=memory.blocks)
