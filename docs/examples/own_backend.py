"""Put a generator of your own into a backend: here, the preview's frames with film grain.

python docs/examples/own_backend.py
"""

from dataclasses import dataclass, replace

import numpy as np

import vmem
from vmem.formats import samples


@dataclass(frozen=True)
class FilmGrain:
    """Implements vmem.Generator: retrieved views and cameras in, frames out."""

    inner: vmem.Generator

    def generate(self, context, targets, *, seed, on_progress, cancel, sampler=None):
        frames = self.inner.generate(
            context, targets, seed=seed, on_progress=on_progress, cancel=cancel
        )
        grain = np.random.default_rng([seed, context.step]).normal(0, 8, frames.rgb.shape)
        return replace(frames, rgb=np.clip(frames.rgb + grain, 0, 255).astype(np.uint8))


preview = vmem.create_backend("preview")
backend = replace(preview, name="grain", label="grain", generator=FilmGrain(preview.generator))
session = vmem.open(samples()[0].path, backend=backend, size=128)
for step in session.walk("w a"):
    print(step, step.frames.std().round(1))
