"""``vmem walk``: walk into a photo without a viewer, and write the walk to a folder."""

from __future__ import annotations

import json
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import tyro

from vmem.devices.settings import DtypeName, SamplerName


@dataclass(frozen=True)
class Walk:
    """Walk into a photo without a viewer and write the walk to a folder."""

    photo: Annotated[Path | None, tyro.conf.Positional, tyro.conf.arg(metavar="[PHOTO]")] = None
    """The photo to walk into; none for --backend world."""
    moves: str = "w*4"
    """Words in order, each with an optional *count: w s forward/back, a d turn left/right,
    q e strafe left/right, r f up/down, t g pitch up/down."""
    backend: str = "auto"
    """auto, preview, world or vmem."""
    geometry: str | None = None
    """Where depth comes from: layout (of the room), depth-anything (a network on the photo, with
    vmem on all frames) or cut3r (a network on all frames); VMEM_GEOMETRY if not given, else auto:
    the best whose weights are here."""
    seed: int = 0
    """Fixes everything that is invented."""
    size: int | None = None
    """Side of the square frames, in pixels: 288, or 576 with vmem, if not given."""
    strategy: str | None = None
    """How context is chosen: votes, coverage, reference, fov, pose or temporal; coverage if not
    given."""
    k: int | None = None
    """How many retrieved views the generator sees, 4 if not given."""
    preset: SamplerName | None = None
    """vmem: the sampler; 50, 20 or 10 evaluations of the network a step."""
    memory: str | None = None
    """vmem: what stays on the GPU; auto, resident, offload-codecs or offload-all."""
    dtype: DtypeName | None = None
    """vmem: precision of the networks; auto is float16 on a GPU, float32 on the CPU."""
    device: str | None = None
    """vmem: auto, cuda, cuda:N, mps, or cpu (minutes a frame)."""
    out: Path = Path("out")
    """Folder for frames/, transforms.json, retrieval.json, surfels.ply and walk.mp4."""
    save: Path | None = None
    """Save the walk as this new file too, NAME.vmem, each step when it is made: to go on later."""
    force: bool = False
    """Write into a folder that has files of these names; they are renamed to NAME.old."""
    json: bool = False
    """Print one JSON object with counts and seconds a stage."""

    def run(self) -> int:
        """Walk, write, report; the exit code. Raises what ends the walk early: KeyboardInterrupt
        and VMemError say what is written."""
        from vmem.backends import create_backend, resolve
        from vmem.backends.registry import geometry_of
        from vmem.cameras import parse_moves
        from vmem.cli.steps import make_steps, write_rest
        from vmem.devices.settings import NetworkSettings
        from vmem.formats.photos import load_photo
        from vmem.formats.walk import expanded
        from vmem.formats.walk_folder import WalkFolder
        from vmem.session import Session, SessionConfig

        begin = time.perf_counter()
        words = parse_moves(self.moves)
        chosen = {"strategy": self.strategy, "context_views": self.k, "sampler": self.preset}
        config = SessionConfig(seed=self.seed, **{k: v for k, v in chosen.items() if v is not None})
        size = 288 if self.size is None else self.size
        asked = {name: getattr(self, name) for name in ("preset", "memory", "dtype", "device")}
        diffusion = NetworkSettings.from_environment()
        diffusion = replace(diffusion, **{k: v for k, v in asked.items() if v is not None})
        name, why = resolve(self.backend, diffusion)
        geometry, _ = geometry_of(name, self.geometry, diffusion)
        if name == "vmem" and self.size is not None:
            diffusion = replace(diffusion, size=self.size)
        photo_size = diffusion.size if name == "vmem" else size
        photo = None if self.photo is None else load_photo(self.photo, photo_size)
        backend = create_backend(
            name, seed=self.seed, size=size, networks=diffusion, geometry=self.geometry
        )
        with ExitStack() as leaving:
            folder = leaving.enter_context(WalkFolder(expanded(self.out), force=self.force))
            session = Session.open(
                None if photo is None else photo.rgb,
                backend=backend,
                config=config,
                save=None if self.save is None else expanded(self.save),
                photo_name=None if photo is None else photo.name,
            )
            leaving.callback(session.close)
            made = make_steps(session, words, folder, name)
            memory = session.memory
            export_begin = time.perf_counter()
            missing = write_rest(folder, memory, made, len(words))
        now = time.perf_counter()
        seconds = session.seconds | {"export": now - export_begin, "total": now - begin}
        report = {
            "views": len(memory.views),
            "surfels": len(memory.surfels),
            "links": len(memory.link_surfel),
            "steps": len(made.notes) - 1,
            "refused": list(made.refused),
            "seconds": {stage: round(spent, 4) for stage, spent in seconds.items()},
            "backend": name,
            "label": backend.described(),
            "geometry": geometry,
            "geometry_notes": list(made.notes),
            "seed": self.seed,
            "strategy": config.strategy,
            "k": config.context_views,
            "out": str(self.out),
            "save": None if self.save is None else str(self.save),
            "notes": [] if photo is None else list(photo.notes),
        }
        if self.json:
            print(json.dumps(report))
        else:
            self._tell(report, why, seconds)
        if missing:
            print(f"error: {missing}", file=sys.stderr)
        return 1 if missing else 0

    def _tell(self, report: dict[str, Any], why: str, seconds: dict[str, float]) -> None:
        """Print the report for people."""
        for note in report["notes"]:
            print(f"note: {note}")
        print(f"backend {report['label']} ({why})")
        for step, note in enumerate(report["geometry_notes"]):
            if note:
                print(f"step {step}: {note}")
        for note in report["refused"]:
            print(f"refused: {note}")
        print(f"{report['views']} views, {report['surfels']} surfels, {report['links']} links")
        print("seconds: " + "  ".join(f"{k} {v:.2f}" for k, v in seconds.items()))
        print(f"written to {self.out}" + ("" if self.save is None else f", saved as {self.save}"))
