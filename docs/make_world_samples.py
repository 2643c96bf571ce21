"""Renders the sample pictures of the procedural world: ``python docs/make_world_samples.py``."""

from __future__ import annotations

import math

import numpy as np
from PIL import Image

from vmem.cameras import Camera, default_K, rotation_x, rotation_y
from vmem.formats.photos import ASSETS
from vmem.worlds.backend import World, make_world, render

SIZE = 576
SEED = 4


def picture(
    world: World, region: str, at: tuple[float, float], yaw: float, fov: float
) -> Image.Image:
    """The view from ``at`` (shares of a region's extent along x and z), two by two rays a pixel."""
    place = world.regions[world.region_names.index(region)]
    x, z = (place["low"] + (place["high"] - place["low"]) * (at[0], 0, at[1]))[[0, 2]]
    c2w = np.eye(4)
    c2w[:3, :3] = rotation_y(math.radians(yaw)) @ rotation_x(math.radians(-4))
    c2w[:3, 3] = x, 0, z
    hw = (2 * SIZE, 2 * SIZE)
    rgb = render(world, Camera(c2w, default_K(hw, math.radians(fov)), hw)).rgb
    return Image.fromarray(rgb).resize((SIZE, SIZE), Image.Resampling.BOX)


def main() -> None:
    """Write both pictures beside the other samples."""
    world, folder = make_world(SEED), ASSETS
    room = picture(world, "living room", (0.88, 0.08), -26, 66)
    room.save(folder / "world_room.jpg", quality=88, optimize=True)
    courtyard = picture(world, "courtyard", (0.1, 0.27), 56, 66)
    courtyard.save(folder / "world_courtyard.jpg", quality=88, optimize=True)


if __name__ == "__main__":
    main()
