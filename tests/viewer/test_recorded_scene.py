"""Recordings: what is in the file, without a browser and without a port."""

from __future__ import annotations

import re
import socket
import threading
from typing import Any

import msgspec
import numpy as np
import pytest
import zstandard

from tests.support.standins import drawn_after, news_in
from viewer.paint.palette import AMBER
from viewer.paint.surfel_colors import paint_surfels
from viewer.share.first_camera import FOV, WINDOW, first_camera
from viewer.share.recording import (
    Recording,
    RecordingOptions,
    record_scene,
)
from vmem.cameras import Camera, default_K
from vmem.memory import MemorySnapshot
from vmem.retrieval import retrieve
from vmem.types import Retrieval, Surfels

STEP = 3
FRUSTUMS = "/views", "/chosen_views"

Nodes = dict[str, dict[str, Any]]


def read(recording: bytes) -> tuple[Nodes, list[str]]:
    """Properties and poses of a recording's nodes by name, later changes applied, and scripts."""
    content = zstandard.ZstdDecompressor().decompressobj().decompress(recording[8:])
    end = 8 + int.from_bytes(content[:8], "little")
    head = msgspec.msgpack.decode(content[8:end])
    buffers = []
    for length in head["binaryBufferLengths"]:
        end += -end % 8
        buffers.append(content[end : end + length])
        end += length

    def array(value: Any) -> Any:
        if isinstance(value, dict) and "__binary_index" in value:
            return np.frombuffer(buffers[value["__binary_index"]], value["dtype"])
        return value

    nodes: Nodes = {}
    for _, message in head["messages"]:
        name = message.get("name", "")
        if "props" in message:
            nodes[name] = {key: array(value) for key, value in message["props"].items()}
        elif "updates" in message:
            nodes[name] |= message["updates"]
        elif "position" in message and name:
            nodes[name]["position"] = np.array(message["position"])
        elif "visible" in message:
            nodes[name]["visible"] = message["visible"]
    scripts = [m["source"] for _, m in head["messages"] if m["type"] == "RunJavascriptMessage"]
    return nodes, scripts


def retrieval_of(memory: MemorySnapshot, step: int) -> Retrieval:
    retrieval = memory.retrievals[step]
    assert retrieval is not None
    return retrieval


@pytest.fixture(scope="module")
def recording(walk: MemorySnapshot) -> Recording:
    return record_scene(walk, retrieval_of(walk, STEP), STEP)


def test_the_scene_is_what_the_retrieval_knew(walk: MemorySnapshot, recording: Recording) -> None:
    retrieval, (nodes, scripts) = retrieval_of(walk, STEP), read(recording.viser)
    n, known = len(retrieval.surfel_weight), len(retrieval.votes)
    assert n < len(walk.surfels)
    assert known < len(walk.views)
    drawn = [one.c2w for node in FRUSTUMS for one in drawn_after(news_in(scripts, node))]
    order = [view for view in range(known) if view not in retrieval.order] + [*retrieval.order]
    assert len(order) == known
    stored = [walk.views[view].camera.c2w for view in order]
    np.testing.assert_allclose(drawn, stored, atol=1e-7)
    cloud = nodes["/surfels/0000"]
    np.testing.assert_array_equal(cloud["points"].reshape(-1, 3), walk.surfels.position[:n])
    expected = paint_surfels("weight", walk, retrieval).color[:n]
    np.testing.assert_array_equal(cloud["colors"].reshape(-1, 3), expected)


def test_chosen_views_alone_are_lit_and_have_a_line(
    walk: MemorySnapshot, recording: Recording
) -> None:
    retrieval, (nodes, scripts) = retrieval_of(walk, STEP), read(recording.viser)
    others, chosen = (drawn_after(news_in(scripts, node)) for node in FRUSTUMS)
    assert {one.color for one in chosen} == {AMBER}
    assert AMBER not in {one.color for one in others}
    for one, view in zip(chosen, retrieval.order, strict=True):
        np.testing.assert_allclose(one.c2w, walk.views[view].camera.c2w, atol=1e-7)
        assert (one.size > others[0].size).all()
    lines = nodes["/retrieval"]["points"].reshape(-1, 2, 3)
    assert len(lines) == len(retrieval.order)
    for view, line in zip(retrieval.order, lines, strict=True):
        np.testing.assert_allclose(line[0], retrieval.targets[-1].position, atol=1e-6)
        np.testing.assert_allclose(line[1], walk.views[view].camera.position, atol=2e-4)


def test_every_view_used_is_named_once(walk: MemorySnapshot, recording: Recording) -> None:
    nodes, _ = read(recording.viser)
    labels = [node["text"] for name, node in nodes.items() if re.fullmatch(r"/chosen/\d+", name)]
    named = sorted(", ".join(labels).split(", "))
    order = retrieval_of(walk, STEP).order
    assert named == sorted(f"{rank}: view {view}" for rank, view in enumerate(order, 1))


def test_the_last_frame_stands_beside_what_memory_knew(
    walk: MemorySnapshot, recording: Recording
) -> None:
    nodes, _ = read(recording.viser)
    boards = [name for name in nodes if name.startswith("/billboards/")]
    assert len(boards) == 2


def test_the_ghost_has_no_frames(walk: MemorySnapshot) -> None:
    retrieval = retrieve(walk, retrieval_of(walk, STEP).targets)
    nodes, scripts = read(record_scene(walk, retrieval, None).viser)
    boards = [node for name, node in nodes.items() if name.startswith("/billboards/")]
    assert sum(node.get("visible", True) for node in boards) == 1
    assert any("ghost" in script for script in scripts)


def test_the_page_says_what_its_colours_mean(walk: MemorySnapshot, recording: Recording) -> None:
    _, scripts = read(recording.viser)
    retrieval = retrieval_of(walk, STEP)
    words = paint_surfels("weight", walk, retrieval).legend.split("·")[0].strip()
    assert any(words in script for script in scripts)
    assert f"<title>Why these views: step {STEP}</title>" in recording.html


def test_nothing_listens_and_no_thread_is_left(
    walk: MemorySnapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a recording needs no port")

    monkeypatch.setattr(socket.socket, "bind", refuse)
    before = threading.active_count()
    record_scene(walk, retrieval_of(walk, STEP), STEP, RecordingOptions("owner", labels=False))
    assert threading.active_count() == before


@pytest.mark.parametrize("step", [0, 9, -1])
def test_a_step_that_retrieved_nothing_is_refused(walk: MemorySnapshot, step: int) -> None:
    with pytest.raises(ValueError, match="use 1 to 8"):
        record_scene(walk, retrieval_of(walk, STEP), step)


def wall(z: float, side: float) -> Surfels:
    """A wall across the way at depth z, that faces the origin."""
    x, y = np.meshgrid(*[np.arange(-side, side, 0.1)] * 2)
    n = x.size
    position = np.stack([x.ravel(), y.ravel(), np.full(n, z)], axis=1).astype(np.float32)
    normal = np.tile(np.array([0, 0, -np.sign(z)], np.float32), (n, 1))
    return Surfels(position, normal, np.full(n, 0.1, np.float32), np.zeros((n, 3), np.uint8))


def test_the_first_camera_shows_the_chosen_views_that_can_be_shown() -> None:
    target = Camera(np.eye(4), default_K((64, 64)), (64, 64))
    behind = np.array([[0.0, 0.0, -0.9], [0.2, 0.0, -0.8]])
    eye, ahead = first_camera(Surfels.empty(), target, behind)
    way = (ahead - eye) / np.linalg.norm(ahead - eye)
    offset = behind - eye
    depth = offset @ way
    assert (depth > 0).all()
    assert (np.abs(offset[:, 0]) < np.tan(FOV / 2) * WINDOW * depth).all()
    up = np.cross(way, [1.0, 0.0, 0.0])
    assert (np.abs(offset @ up) < np.tan(FOV / 2) * depth).all()


def test_the_first_camera_stays_on_the_near_side_of_a_wall_behind() -> None:
    target = Camera(np.eye(4), default_K((64, 64)), (64, 64))
    eye, _ = first_camera(wall(-0.7, 2.0), target, np.array([[0.0, 0.0, -1.5]]))
    assert eye[2] > -0.7
