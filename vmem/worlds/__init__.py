"""Procedural scenes whose depth is known exactly: the backend ``world``, and the truth of tests."""

from vmem.worlds.backend import (
    PLANS,
    SKY_DEPTH,
    World,
    WorldGenerator,
    WorldGeometry,
    WorldRender,
    are_free,
    is_free,
    make_world,
    render,
    start_camera,
)

__all__ = [
    "PLANS",
    "SKY_DEPTH",
    "World",
    "WorldGenerator",
    "WorldGeometry",
    "WorldRender",
    "are_free",
    "is_free",
    "make_world",
    "render",
    "start_camera",
]
