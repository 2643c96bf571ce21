"""``vmem walk``: walk into a photo without a viewer, and write the walk to a folder."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import tyro
from tqdm import tqdm

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
    force: bool = False
    """Write into a folder that has files of these names; they are renamed to NAME.old."""
    json: bool = False
    """Print one JSON object with counts and seconds a stage."""

    def run(self) -> None:
        """Walk, export, report."""
        from vmem.backends import create_backend, resolve
        from vmem.backends.registry import geometry_of
        from vmem.cameras import parse_moves
        from vmem.devices.settings import NetworkSettings
        from vmem.formats.photos import load_photo
        from vmem.formats.walk import check_writable, export_walk
        from vmem.session import Session, SessionConfig, StepRefused

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
        check_writable(self.out, force=self.force)
        rgb = None if photo is None else photo.rgb
        session = Session.open(rgb, backend=backend, config=config)
        records = [session.history.head.record]
        refused: list[str] = []
        for word in tqdm(words, desc=f"walking ({name})", unit="step", disable=None):
            try:
                records.append(session.move(word).record)
            except StepRefused as error:
                refused.append(f"{word}: {error}")
        memory = session.memory
        export_begin = time.perf_counter()
        export_walk(memory, self.out, force=self.force)
        now = time.perf_counter()
        seconds = session.seconds | {"export": now - export_begin, "total": now - begin}
        report = {
            "views": len(memory.views),
            "surfels": len(memory.surfels),
            "links": len(memory.link_surfel),
            "steps": len(records) - 1,
            "refused": refused,
            "seconds": {stage: round(spent, 4) for stage, spent in seconds.items()},
            "backend": name,
            "label": backend.described(),
            "geometry": geometry,
            "geometry_notes": [record.note for record in records],
            "seed": self.seed,
            "strategy": config.strategy,
            "k": config.context_views,
            "out": str(self.out),
            "notes": [] if photo is None else list(photo.notes),
        }
        if self.json:
            print(json.dumps(report))
            return
        for note in report["notes"]:
            print(f"note: {note}")
        print(f"backend {backend.described()} ({why})")
        for step, note in enumerate(report["geometry_notes"]):
            if note:
                print(f"step {step}: {note}")
        for note in refused:
            print(f"refused: {note}")
        print(f"{report['views']} views, {report['surfels']} surfels, {report['links']} links")
        print("seconds: " + "  ".join(f"{k} {v:.2f}" for k, v in seconds.items()))
        print(f"written to {self.out}")
