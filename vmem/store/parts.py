"""What a step consists of in a file: a step as named blobs, and blobs as a step again."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import asdict
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import UInt8
from numpy.typing import NDArray

from vmem.cameras import Camera, Cameras
from vmem.errors import VMemError
from vmem.store.codecs import pack, png, rgb_of, unpack
from vmem.store.values import NodeRow, StoreError
from vmem.types import (
    PictureShares,
    Query,
    Reason,
    ReasonKind,
    Retrieval,
    RetrievalOutline,
    Sparse,
    StepRecord,
    StepRequest,
    SurfelBuffers,
    Surfels,
    View,
    ViewId,
)

STEP = -1
"""Number of the "view" under which lie the parts that belong to a step as a whole."""
_MAPS = ("depth", "confidence", "provenance", "age")
_COLUMNS = ("votes", "share", "coverage", "pose_distance", "rank", "chosen")
_REASONS = ("kind", "known", "view", "distance", "share_of")
_KINDS = {
    "rank": np.int32,
    "chosen": np.bool_,
    "kind": np.uint8,
    "known": np.uint8,
    "view": np.int64,
    "distance": np.float64,
    "share_of": np.float64,
}
_STATES = {"latents": "latents", "geometry": "geometry_state"}
_BUFFERS = ("index", "depth", "cosine")
_MAX_SURFELS = 1 << 26


class PartKey(NamedTuple):
    """Where a part belongs."""

    node: int
    """The step."""
    number: int
    """Number of the view in its step, or STEP."""
    kind: str
    """What it is: camera, frame, maps, latents, geometry; growth, step, answer, buffers."""

    def __str__(self) -> str:
        of = f"step {self.node}" if self.number == STEP else f"view {self.node}.{self.number}"
        return f"{self.kind} of {of}"


Read = Callable[[PartKey], bytes | None]
"""Gives a part's blob, or None where the step has no such part; raises StoreError."""


class Job(NamedTuple):
    """How a part's blob is made."""

    key: Hashable
    """Identifies the values that are encoded, as long as one of the jobs on them is kept."""
    make: Callable[[], bytes]
    """Makes the blob."""


def parts_of(node: int, record: StepRecord, seconds: Mapping[str, float]) -> dict[PartKey, Job]:
    """Every part of a step: independent of each other, to be made anywhere."""
    parts: dict[PartKey, Job] = {}
    for number, view in enumerate(record.views):
        jobs = {
            "frame": frame_job(view.rgb),
            "maps": _job("maps", view, lambda view=view: pack(_present(view, _MAPS))),
            "camera": _job("camera", view, lambda view=view: _camera(view)),
        }
        for kind, state in (("latents", view.latents), ("geometry", view.geometry_state)):
            if state is not None:
                jobs[kind] = _job(kind, state, lambda state=state: pack(state))
        parts |= {PartKey(node, number, kind): job for kind, job in jobs.items()}
    jobs = {
        "growth": _job("growth", record, lambda: _growth(record)),
        "step": _job("step", record, lambda: _step(record, seconds)),
    }
    if record.retrieval is not None:
        jobs |= answer_jobs(record.retrieval)
    return parts | {PartKey(node, STEP, kind): job for kind, job in jobs.items()}


def frame_job(rgb: UInt8[np.ndarray, "H W 3"]) -> Job:
    """What makes a frame's part. A view of the same pixels is the same frame."""
    place, _ = rgb.__array_interface__["data"]
    return Job(("frame", place, rgb.shape, rgb.strides), lambda: png(rgb))


def answer_jobs(answer: Retrieval) -> dict[str, Job]:
    """What makes the parts of the answer that led to a step."""
    return {
        "answer": _job("answer", answer, lambda: _answer(answer)),
        "buffers": _job("buffers", answer, lambda: _pack_buffers(answer)),
    }


def read_view(id: ViewId, read: Read) -> View:
    """A view from its parts. Raises StoreError for what is no view."""
    with _checked(f"view {id.node}.{id.number}"):
        camera, step = read_camera(id, read)
        rgb = rgb_of(_needed(PartKey(*id, "frame"), read))
        maps, _ = unpack(_needed(PartKey(*id, "maps"), read))
        for name, array in maps.items():
            kind = np.uint8 if name == "provenance" else np.float32
            _expect(array, name, camera.hw, kind)
        if rgb.shape[:2] != camera.hw:
            raise ValueError(f"the frame is {rgb.shape[:2]}, its camera's {camera.hw}")
        states = {}
        for field, kind in (("latents", "latents"), ("geometry_state", "geometry")):
            data = read(PartKey(*id, kind))
            states[field] = None if data is None else unpack(data)[0]
        return View(rgb=rgb, camera=camera, step=step, id=id, **maps, **states)


def read_part(id: ViewId, part: str, read: Read) -> dict[str, Any]:
    """The fields of a view that one of its parts holds, by name: of "frame", "maps", "latents" or
    "geometry". What the view does not have is left out. Its maps cannot be written."""
    with _checked(f"view {id.node}.{id.number}"):
        data = read(PartKey(*id, part))
        if data is None:
            return {}
        if part in _STATES:
            return {_STATES[part]: unpack(data)[0]}
        hw = read_camera(id, read)[0].hw
        found = {"rgb": rgb_of(data)} if part == "frame" else unpack(data)[0]
        for name, array in found.items():
            kind = np.uint8 if name in ("rgb", "provenance") else np.float32
            _expect(array, name, (*hw, 3) if name == "rgb" else hw, kind)
            array.flags.writeable = False
        return found


def read_outline(node: int, read: Read) -> RetrievalOutline | None:
    """What is held of the answer that led to a step, or None for the photo."""
    data = read(PartKey(node, STEP, "answer"))
    if data is None:
        return None
    with _checked(f"the retrieval of step {node}"):
        arrays, facts = unpack(data)
        _expect(arrays["share"], "share", arrays["share"].shape[:1], np.float32)
        order = tuple(facts["order"])
        _expect_within(np.array(order, np.int64), "order", 0, len(arrays["share"]))
        query = facts["query"]
        return RetrievalOutline(
            query=Query(**query | {name: tuple(query[name]) for name in ("pinned", "banned")}),
            targets=Cameras(arrays["c2w"], arrays["K"], tuple(facts["hw"])),
            order=order,
            picture=PictureShares(**facts["picture"]),
            note=str(facts["note"]),
            share=Sparse.of(arrays["share"]),
        )


def read_camera(id: ViewId, read: Read) -> tuple[Camera, int]:
    """A view's camera and the number of its step."""
    with _checked(f"the camera of view {id.node}.{id.number}"):
        arrays, (step, *hw) = unpack(_needed(PartKey(*id, "camera"), read))
        return Camera(arrays["c2w"], arrays["K"], tuple(hw)), int(step)


def read_growth(
    row: NodeRow, read: Read, after: tuple[int, int]
) -> tuple[Surfels, NDArray[Any], NDArray[Any]]:
    """The surfels that a step added, and the surfel and the view of each link (L,) i32.

    after: views and surfels of the memory after the step, which links must stay within.
    """
    with _checked(f"the surfels of step {row.id}"):
        arrays, _ = unpack(_needed(PartKey(row.id, STEP, "growth"), read))
        links = []
        for name, size in zip(("link_view", "link_surfel"), after, strict=True):
            link = arrays.pop(name)
            _expect(link, name, (row.n_links,), np.int32)
            _expect_within(link, name, 0, size)
            links.append(link)
        n = row.n_surfels
        _expect(arrays["position"], "position", (n, 3), np.float32)
        _expect(arrays["normal"], "normal", (n, 3), np.float32)
        _expect(arrays["radius"], "radius", (n,), np.float32)
        _expect(arrays["color"], "color", (n, 3), np.uint8)
        return Surfels(**arrays).validated(), links[1], links[0]


def read_retrieval(node: int, read: Read, before: tuple[int, int]) -> Retrieval | None:
    """The answer that led to a step, or None where none did.

    before: views and surfels of the memory that was asked.
    """
    data = read(PartKey(node, STEP, "answer"))
    if data is None:
        return None
    with _checked(f"the retrieval of step {node}"):
        views, surfels = before
        arrays, facts = unpack(data)
        for name in (*_COLUMNS, *_REASONS):
            _expect(arrays[name], name, (views,), _KINDS.get(name, np.float32))
        seen = arrays["seen"]
        _expect(seen, "seen", (len(seen),), np.int64)
        _expect_within(seen, "seen", 0, surfels)
        order = tuple(facts["order"])
        _expect_within(np.array(order, np.int64), "order", 0, views)
        drawn, _ = unpack(_needed(PartKey(node, STEP, "buffers"), read))
        query = facts["query"]
        return Retrieval(
            query=Query(**query | {name: tuple(query[name]) for name in ("pinned", "banned")}),
            targets=Cameras(arrays["c2w"], arrays["K"], tuple(facts["hw"])),
            **{name: arrays[name] for name in _COLUMNS},
            reasons=_reasons(arrays, facts["reasons"]),
            order=order,
            surfel_weight=_dense(seen, arrays["weight"], surfels),
            surfel_pixels=_dense(seen, arrays["pixels"], surfels),
            buffers=tuple(_drawn(drawn, i, surfels) for i in range(len(drawn) // len(_BUFFERS))),
            picture=PictureShares(**facts["picture"]),
            note=str(facts["note"]),
        )


def read_step(node: int, read: Read) -> tuple[StepRequest | None, str, dict[str, float]]:
    """What was asked for, the geometry's note, and the seconds spent by stage."""
    with _checked(f"step {node}"):
        _, facts = unpack(_needed(PartKey(node, STEP, "step"), read))
        request = facts["request"]
        if request is not None:
            request = StepRequest.from_json(request)
        return request, str(facts["note"]), dict(facts["seconds"])


def _job(kind: str, value: object, make: Callable[[], bytes]) -> Job:
    return Job((kind, id(value)), make)


def _present(value: object, names: tuple[str, ...]) -> dict[str, NDArray[Any]]:
    fields = {name: getattr(value, name) for name in names}
    return {name: array for name, array in fields.items() if array is not None}


def _camera(view: View) -> bytes:
    camera = view.camera
    return pack({"c2w": camera.c2w, "K": camera.K}, [view.step, *camera.hw])


def _growth(record: StepRecord) -> bytes:
    links = {"link_surfel": record.link_surfel, "link_view": record.link_view}
    return pack(vars(record.surfels) | links)


def _step(record: StepRecord, seconds: Mapping[str, float]) -> bytes:
    request = None if record.request is None else record.request.to_json()
    return pack({}, {"request": request, "note": record.note, "seconds": dict(seconds)})


def _answer(answer: Retrieval) -> bytes:
    reasons, words = _reason_columns(answer.reasons)
    # By their bits, so that -0 is kept.
    weight, pixels = (
        np.ascontiguousarray(votes).view(np.uint32)
        for votes in (answer.surfel_weight, answer.surfel_pixels)
    )
    seen = np.flatnonzero(weight | pixels)
    arrays = _present(answer, _COLUMNS) | {
        **reasons,
        "seen": seen,
        "weight": answer.surfel_weight[seen],
        "pixels": answer.surfel_pixels[seen],
        "c2w": answer.targets.c2w,
        "K": answer.targets.K,
    }
    facts = {
        "query": answer.query.to_json(),
        "hw": answer.targets.hw,
        "reasons": words,
        "order": answer.order,
        "picture": asdict(answer.picture),
        "note": answer.note,
    }
    return pack(arrays, facts)


def _reason_columns(reasons: tuple[Reason, ...]) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """Reasons as columns, since each step of a long walk has thousands; and what are words."""
    kinds: dict[ReasonKind, int] = {}
    kind = [kinds.setdefault(reason.kind, len(kinds)) for reason in reasons]
    rows = [(reason.view, reason.distance, reason.share) for reason in reasons]
    known = [(v is not None) + 2 * (d is not None) + 4 * (s is not None) for v, d, s in rows]
    columns = zip(*rows, strict=True) if rows else ((), (), ())
    values = ([0 if x is None else x for x in column] for column in columns)
    arrays = {
        name: np.array(column, _KINDS[name])
        for name, column in zip(_REASONS, (kind, known, *values), strict=True)
    }
    texts = {str(i): reason.text for i, reason in enumerate(reasons) if reason.text}
    return arrays, {"kinds": [kind.name for kind in kinds], "texts": texts}


def _reasons(arrays: Mapping[str, NDArray[Any]], words: Mapping[str, Any]) -> tuple[Reason, ...]:
    kinds = [ReasonKind[name] for name in words["kinds"]]
    texts = {int(i): str(text) for i, text in words["texts"].items()}
    _expect_within(arrays["kind"], "kind", 0, len(kinds))
    rows = zip(*(arrays[name].tolist() for name in _REASONS), strict=True)
    return tuple(
        Reason(
            kinds[kind],
            view if known & 1 else None,
            distance if known & 2 else None,
            share if known & 4 else None,
            texts.get(i, ""),
        )
        for i, (kind, known, view, distance, share) in enumerate(rows)
    )


def _pack_buffers(answer: Retrieval) -> bytes:
    return pack(
        {
            f"{name} {i}": getattr(drawn, name)
            for i, drawn in enumerate(answer.buffers)
            for name in _BUFFERS
        }
    )


def _drawn(arrays: dict[str, NDArray[Any]], i: int, surfels: int) -> SurfelBuffers:
    index, depth, cosine = (arrays[f"{name} {i}"] for name in _BUFFERS)
    hw = index.shape[:2]
    _expect(index, "index", hw, np.int32)
    _expect_within(index, "index", -1, surfels)
    _expect(depth, "depth", hw, np.float32)
    _expect(cosine, "cosine", hw, np.float32)
    return SurfelBuffers(index, depth, cosine)


def _dense(index: NDArray[Any], values: NDArray[Any], size: int) -> NDArray[Any]:
    _expect(values, "weight", index.shape, np.float32)
    if size > _MAX_SURFELS:
        raise ValueError(f"a memory of {size:,} surfels")
    dense = np.zeros(size, np.float32)
    dense[index] = values
    return dense


def _needed(key: PartKey, read: Read) -> bytes:
    data = read(key)
    if data is None:
        raise StoreError(f"the walk has no {key}")
    return data


def _expect(array: NDArray[Any], name: str, shape: tuple[int, ...], kind: Any) -> None:
    if array.shape != shape or array.dtype != kind:
        raise ValueError(f"{name} is {array.dtype} {array.shape}, expected {kind} {shape}")


def _expect_within(array: NDArray[Any], name: str, low: int, high: int) -> None:
    if array.size and (array.min() < low or array.max() >= high):
        raise ValueError(f"{name} goes beyond what memory holds")


@contextlib.contextmanager
def _checked(what: str) -> Iterator[None]:
    """Turn whatever a strange blob provokes into a StoreError about ``what``."""
    try:
        yield
    except StoreError:
        raise
    except (VMemError, ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
        raise StoreError(f"{what} cannot be read from the walk's file: {error}") from error
