"""Ways through a procedural world: steps of target cameras, as a user would walk them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import dijkstra

from vmem.arrays import F64
from vmem.cameras import MOVES, Camera, Cameras, apply_move, path_targets, rotation_y
from vmem.worlds.backend import World, are_free, is_free, start_camera

MARGIN = 0.08
"""Scene units that a walker keeps from everything solid."""
STRIDE = 0.2
"""Scene units between the ends of two steps of a path."""
TURN = np.radians(20.0)
"""Largest turn of one step of a path."""
AHEAD = 0.3
"""Scene units before him that a walker looks at."""
PLACES = 60
"""Random places that paths lead through."""


@dataclass(frozen=True, eq=False)
class Walk:
    """A way through a world."""

    name: str
    """What it is called in the tables."""
    start: Camera
    """The first camera."""
    steps: tuple[Cameras, ...]
    """The target cameras of every step after it."""


def through_poses(
    name: str, start: Camera, poses: list[Float64[np.ndarray, "4 4"]], target_views: int = 4
) -> Walk:
    """A walk whose steps end at these poses, one after the other."""
    steps = []
    camera = start
    for c2w in poses:
        steps.append(path_targets(camera, c2w, target_views))
        camera = camera.moved_to(c2w)
    return Walk(name, start, tuple(steps))


def there_and_back(world: World, hw: tuple[int, int], turns: int = 12) -> Walk:
    """Turn left on the spot, and back again."""
    start = start_camera(world, hw)
    poses, c2w = [], start.c2w
    for word in "a" * turns + "d" * turns:
        c2w = apply_move(c2w, MOVES[word])
        poses.append(c2w)
    return through_poses("turns", start, poses)


def through_rooms(world: World, hw: tuple[int, int], seed: int, length: float = 5.0) -> Walk:
    """From the start to the farthest place that can be reached, and home by way of another; at most
    about ``length`` scene units."""
    net = _PathNet(world, seed)
    far = net.farthest(0)
    other = net.farthest(0, far)
    path = _cut(_joined(net.path(0, far), net.path(far, other), net.path(other, 0)), length)
    return _along("rooms", start_camera(world, hw), path)


def out_home_out(world: World, hw: tuple[int, int], seed: int, length: float = 1.5) -> Walk:
    """Out, home and out again on one path: the way home sees the other side of everything, the
    second way out revisits."""
    net = _PathNet(world, seed)
    out = _cut(net.path(0, net.farthest(0)), length)
    return _along("revisit", start_camera(world, hw), _joined(out, out[::-1], out))


def around(world: World, hw: tuple[int, int]) -> Walk:
    """The closed walk of the world's plan."""
    return _along("loop", start_camera(world, hw), world.loop)


def jumps(
    walk: Walk, world: World, seed: int, n: int, turn: float = 0.6, shift: float = 0.15
) -> list[Camera]:
    """Cameras near random views of a walk, moved and turned by up to so much, in free places."""
    rng = np.random.default_rng(seed)
    stored = [camera for step in walk.steps for camera in step]
    found: list[Camera] = []
    while len(found) < n:
        near = stored[int(rng.integers(len(stored)))]
        c2w = near.c2w.copy()
        c2w[:3, 3] += rng.uniform(-shift, shift, 3) * (1, 0.3, 1)
        c2w[:3, :3] = rotation_y(rng.uniform(-turn, turn)) @ c2w[:3, :3]
        if is_free(world, c2w[:3, 3], MARGIN):
            found.append(near.moved_to(c2w))
    return found


class _PathNet:
    """Free places at eye height, joined where the straight line between them is free."""

    def __init__(self, world: World, seed: int) -> None:
        rng = np.random.default_rng(seed)
        low, high = world.regions["low"].min(axis=0), world.regions["high"].max(axis=0)
        places = [np.zeros(3)]
        while len(places) < PLACES:
            place = rng.uniform(low, high) * (1, 0, 1)
            if is_free(world, place, MARGIN):
                places.append(place)
        self.places = np.stack(places)
        length = np.zeros((PLACES, PLACES))
        for i in range(PLACES):
            for j in range(i):
                if _is_line_free(world, places[i], places[j]):
                    length[i, j] = np.linalg.norm(places[i] - places[j])
        self.distance, self.before = dijkstra(
            csr_matrix(length), directed=False, return_predecessors=True
        )

    def farthest(self, *places: int) -> int:
        """The reachable place that is farthest from the nearest of ``places``."""
        nearest = self.distance[list(places)].min(axis=0)
        return int(np.argmax(np.where(np.isfinite(nearest), nearest, -1)))

    def path(self, start: int, end: int) -> NDArray[np.float64]:
        """(n, 3) corners of the shortest way."""
        way = [end]
        while way[-1] != start:
            way.append(int(self.before[start, way[-1]]))
        return self.places[way[::-1]]


def _is_line_free(world: World, a: F64, b: F64) -> bool:
    n = max(2, int(np.linalg.norm(b - a) / (MARGIN / 2)))
    return bool(are_free(world, a + np.linspace(0, 1, n)[:, None] * (b - a), MARGIN).all())


def _joined(*paths: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.concatenate([paths[0], *(path[1:] for path in paths[1:])])


def _lengths(path: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n,) length of the way up to each corner."""
    return np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(path, axis=0), axis=1))])


def _at(path: NDArray[np.float64], lengths: NDArray[np.float64], s: float) -> NDArray[np.float64]:
    return np.array([np.interp(s, lengths, path[:, i]) for i in range(3)])


def _cut(path: NDArray[np.float64], length: float) -> NDArray[np.float64]:
    """The beginning of a path, at most this long."""
    lengths = _lengths(path)
    if lengths[-1] <= length:
        return path
    return np.concatenate([path[lengths < length], _at(path, lengths, length)[None]])


def _along(name: str, start: Camera, path: NDArray[np.float64]) -> Walk:
    """Walk a path looking ahead, turning on the spot where it bends sharply."""
    lengths = _lengths(path)
    yaw = 0.0
    poses: list[F64] = []
    for s in np.linspace(0, lengths[-1], max(2, round(lengths[-1] / STRIDE) + 1)):
        place = _at(path, lengths, s)
        ahead = _at(path, lengths, s + AHEAD) - place
        heading = np.arctan2(ahead[0], ahead[2]) if np.linalg.norm(ahead) > 1e-3 else yaw
        turn = (heading - yaw + np.pi) % (2 * np.pi) - np.pi
        for _ in range(max(1, int(np.ceil(abs(turn) / TURN)))):
            yaw += float(np.clip(turn, -TURN, TURN))
            turn -= float(np.clip(turn, -TURN, TURN))
            c2w = np.eye(4)
            c2w[:3, :3], c2w[:3, 3] = rotation_y(yaw), place
            poses.append(c2w)
    return through_poses(name, start, poses)
