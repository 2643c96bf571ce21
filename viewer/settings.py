"""What one person has chosen: what is asked of memory, how to move, and what is shown."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, get_args

from vmem.devices.settings import SamplerName
from vmem.retrieval import SelectionConfig
from vmem.types import DEFAULT_STRATEGY

Mode = Literal["walk", "step", "scout"]
Layout = Literal["picture", "both", "memory"]
TargetViews = Literal["1", "2", "4"]
ViewFrom = Literal["behind", "eyes", "free"]
RowCount = Literal["8", "24", "all"]
Keymap = Literal["paper", "game"]
KeymapChoice = Literal["auto", "paper", "game"]
Renderer = Literal["auto", "browser", "server"]
Heat = Literal[
    "image", "weight", "support", "uncovered", "owner", "provenance", "age", "normal", "depth"
]
Layer = Literal["scene", "index", "depth", "cosine", "weight", "holes"]
QuerySetting = Literal["strategy", "context_views", "suppression", "weighting", "density"]
"""Settings that a query is made of."""

LAYOUTS: tuple[Layout, ...] = get_args(Layout)
WALK_MODES: tuple[Mode, ...] = get_args(Mode)
TARGET_VIEWS: tuple[TargetViews, ...] = get_args(TargetViews)
VIEWS_FROM: tuple[ViewFrom, ...] = get_args(ViewFrom)
ROWS: tuple[RowCount, ...] = get_args(RowCount)
RENDERERS: tuple[Renderer, ...] = get_args(Renderer)
KEYMAP_CHOICES: tuple[KeymapChoice, ...] = get_args(KeymapChoice)

OWN_SUPPRESSION = SelectionConfig().suppression
"""What the strategies suppress by themselves."""


@dataclass
class SceneOptions:
    """What is shown in the 3-D scene, and who draws it."""

    heat: Heat = "image"
    """How surfels are coloured."""
    frustums: bool = True
    billboards: bool = True
    provenance: bool = False
    """Whether frames are tinted where they were invented."""
    step: int | None = None
    """The past step whose frames are shown as billboards; None for the newest."""
    layer: Layer = "scene"
    """What is shown beside each frame."""
    wipe: float = 1.0
    """Share of the frame's width, in [0, 1], that the layer does not cover."""
    drawn_by: Renderer = "auto"
    """Who draws the surfels; "auto" goes by ``server_above``."""
    server_above: int = 300_000
    """Number of surfels above which "auto" means the server."""

    def server_draws(self, surfels: int, now: bool) -> bool:
        """Whether the server is to draw so many surfels; ``now``: whether it already does."""
        if self.drawn_by != "auto":
            return self.drawn_by == "server"
        # Some way back before all is sent again: an undo and a redo must not cost two changes.
        return surfels > self.server_above * (0.8 if now else 1.0)


@dataclass
class Settings:
    """What one person has chosen. Changed by the panels, read everywhere."""

    backend: str = "auto"
    """Of the next walk."""
    geometry: str | None = None
    """One of vmem.backends.geometry.GEOMETRIES; None for VMEM_GEOMETRY, or auto."""
    preset: SamplerName = "balanced"
    """Sampler of the vmem backend; it may change from step to step."""
    seed: int = 0
    """Of the next walk."""
    size: int = 288
    """Side of the next walk's square frames, in pixels."""
    strategy: str = DEFAULT_STRATEGY
    """One of vmem.retrieval.STRATEGIES."""
    context_views: int = 4
    """How many views are selected (K)."""
    suppression: float = OWN_SUPPRESSION
    """Pose distance, in radians, below which one of two views is left out; a what-if."""
    weighting: str | None = None
    """One of vmem.types.WEIGHTINGS, or None for the strategy's own; a what-if."""
    density: float = 1.0
    """Share of the surfels that are asked, in (0, 1]; a what-if."""
    use_next: bool = True
    """Whether steps are made with the what-ifs (pins and bans too), or they are only shown."""
    rows: RowCount = "8"
    """How many views the table of a retrieval lists."""
    keymap: KeymapChoice = "auto"
    """Which keys turn and which strafe; "auto" goes by the mode (`keymap_now`)."""
    mode: Mode = "walk"
    """"walk": he walks while keys are held and views follow him; "step": a move key makes one step;
    "scout": he flies through everything, and Space generates along his way."""
    layout: Layout = "both"
    """What fills the window: the walker's own "picture", viser's scene of the "memory", or both
    side by side; in a narrow window both is the picture."""
    overlay: bool = True
    """Whether chosen views, map, legend and heat lie over the walker's picture."""
    targets: TargetViews = "1"
    """Views that a step of mode "walk" makes, where the backend does not fix their number."""
    view_from: ViewFrom = "behind"
    """Where the browser's camera is: "behind" the ghost, at its "eyes", or "free"."""
    step_size: float = 0.1
    """Length of one move, in scene units."""
    turn_degrees: float = 4.0
    """Angle of one turn."""
    scene: SceneOptions = field(default_factory=SceneOptions)

    @property
    def keymap_now(self) -> Keymap:
        """The keymap in use. "auto": A D strafe where the mouse turns, and turn in mode step, as in
        the paper's demo."""
        if self.keymap != "auto":
            return self.keymap
        return "paper" if self.mode == "step" else "game"
