"""Arrays, pictures and facts as blobs and back, bit for bit, without running anything.

A blob states its sizes in a header. Nothing is allocated before they are found possible, and no
more is ever inflated than the header announced.
"""

from __future__ import annotations

import json
import math
import struct
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import UInt8
from numpy.typing import NDArray

from vmem.store.values import StoreError

MAX_BYTES = 1 << 28
"""Bytes that one blob may hold once it is inflated."""
_MAX_HEADER = 1 << 23
_MAX_ARRAYS = 4096
_MAX_SIDE = 1 << 15
_DTYPES = frozenset(
    (
        "|b1",
        "|u1",
        "|i1",
        "<u2",
        "<i2",
        "<f2",
        "<u4",
        "<i4",
        "<f4",
        "<c8",
        "<u8",
        "<i8",
        "<f8",
        "<c16",
    )
)
_UNSIGNED = {1: "|u1", 2: "<u2", 4: "<u4", 8: "<u8"}
_SMOOTH = 16
"""Least sides of an array that is taken for a map."""
_MAGIC = b"VMA1"
_HEAD = struct.Struct("<4sII")
_PNG = b"\x89PNG\r\n\x1a\n"
_IHDR = struct.Struct(">IIBBBBB")
_UP = 2

Arrays = Mapping[str, NDArray[Any]]


def pack(arrays: Arrays, facts: Any = None) -> bytes:
    """Named arrays of numbers, and ``facts`` of plain JSON values, as one blob.

    Raises StoreError for arrays of anything but numbers.
    """
    streams, rows = [], []
    for name, array in arrays.items():
        array = np.asarray(array, order="C")
        dtype = array.dtype.newbyteorder("<")
        if dtype.str not in _DTYPES:
            raise StoreError(f"{name!r} is an array of {array.dtype}: only numbers can be saved")
        how, stream = _deflate(array.astype(dtype, copy=False))
        rows.append([name, dtype.str, list(array.shape), how, len(stream)])
        streams.append(stream)
    text = json.dumps([facts, rows], default=_plain, separators=(",", ":")).encode()
    header = zlib.compress(text, 1)
    return b"".join([_HEAD.pack(_MAGIC, len(header), len(text)), header, *streams])


def unpack(data: bytes) -> tuple[dict[str, NDArray[Any]], Any]:
    """The arrays, which may be written, and the facts that `pack` made a blob of.

    Raises StoreError for any other bytes.
    """
    try:
        magic, packed, size = _HEAD.unpack_from(data)
        if magic != _MAGIC or size > _MAX_HEADER:
            raise ValueError("this is no blob of arrays")
        at = _HEAD.size + packed
        facts, rows = json.loads(_inflate(data[_HEAD.size : at], size, 15))
        if len(rows) > _MAX_ARRAYS:
            raise ValueError(f"{len(rows)} arrays in one blob")
        total, arrays = 0, {}
        for name, dtype, shape, how, length in rows:
            if dtype not in _DTYPES or not all(type(n) is int and n >= 0 for n in shape):
                raise ValueError(f"an array of {dtype!r} {shape!r}")
            total += math.prod(shape) * np.dtype(dtype).itemsize
            if total > MAX_BYTES or len(shape) > 16 or not 0 <= length <= len(data) - at:
                raise ValueError(f"an array of shape {shape} in {length} bytes")
            arrays[str(name)] = _restored(data[at : at + length], dtype, shape, how)
            at += length
        return arrays, facts
    except (ValueError, TypeError, KeyError, struct.error, zlib.error, RecursionError) as error:
        raise StoreError(f"a part of the walk cannot be read: {error}") from error


def png(rgb: UInt8[np.ndarray, "H W 3"]) -> bytes:
    """A frame as PNG: each row less the one above, run lengths, Huffman codes.

    This takes half the time of OpenCV's fastest setting for a fifth more bytes.
    """
    h, w, _ = rgb.shape
    rows = np.empty((h, 1 + 3 * w), np.uint8)
    rows[:, 0] = _UP
    pixels = rgb.reshape(h, 3 * w)
    rows[:1, 1:] = pixels[:1]
    np.subtract(pixels[1:], pixels[:-1], out=rows[1:, 1:])
    deflate = zlib.compressobj(1, zlib.DEFLATED, 15, 9, zlib.Z_RLE)
    body = deflate.compress(rows.data) + deflate.flush()
    return _png_of(_IHDR.pack(w, h, 8, 2, 0, 0, 0), body)


def rgb_of(data: bytes) -> UInt8[np.ndarray, "H W 3"]:
    """The frame that `png` wrote; StoreError for any other bytes, other PNGs included."""
    try:
        if data[:8] != _PNG or data[12:16] != b"IHDR":
            raise ValueError("no PNG")
        w, h, *kind = _IHDR.unpack_from(data, 16)
        if kind != [8, 2, 0, 0, 0] or not (0 < w <= _MAX_SIDE and 0 < h <= _MAX_SIDE):
            raise ValueError(f"a PNG of {w} x {h} px and kind {kind}")
        (length,) = struct.unpack_from(">I", data, 33)
        body = data[41 : 41 + length]
        if data != _png_of(data[16:29], body):
            raise ValueError("a PNG that is damaged or was made elsewhere")
        if (3 * w + 1) * h > MAX_BYTES:
            raise ValueError(f"a PNG of {w} x {h} px")
        raw = _inflate(body, h * (1 + 3 * w), 15)
        rows = np.frombuffer(raw, np.uint8).reshape(h, 1 + 3 * w)
        if (rows[:, 0] != _UP).any():
            raise ValueError("a PNG that was made elsewhere")
        return np.cumsum(rows[:, 1:], axis=0, dtype=np.uint8).reshape(h, w, 3)
    except (ValueError, struct.error, zlib.error) as error:
        raise StoreError(f"a frame of the walk cannot be read: {error}") from error


def _png_of(header: bytes, body: bytes) -> bytes:
    return b"".join([_PNG, _chunk(b"IHDR", header), _chunk(b"IDAT", body), _chunk(b"IEND", b"")])


def _chunk(kind: bytes, body: bytes) -> bytes:
    crc = zlib.crc32(body, zlib.crc32(kind))
    return b"".join([struct.pack(">I", len(body)), kind, body, struct.pack(">I", crc)])


def _deflate(array: NDArray[Any]) -> tuple[str, bytes]:
    """How it is packed, and the bytes.

    "same": one value stands for all · "planes": deflated, bytes of equal weight together · "steps":
    differences along the last axis first · "bends": along the last two · "raw".
    """
    flat = array.reshape(-1)
    if not array.size:
        return "raw", b""
    if array.itemsize in _UNSIGNED:
        bits = flat.view(_UNSIGNED[array.itemsize])
        # The ends first: they seldom agree by chance.
        if bits[0] == bits[-1] and (bits == bits[0]).all():
            return "same", flat[:1].tobytes()
    how, strategy = _kind_of(array), zlib.Z_DEFAULT_STRATEGY
    if how != "planes":
        bits = array.view(_UNSIGNED[array.itemsize])
        steps = bits.copy()
        np.subtract(bits[..., 1:], bits[..., :-1], out=steps[..., 1:])
        if how == "bends":
            bends, strategy = steps.copy(), zlib.Z_RLE
            np.subtract(steps[..., 1:, :], steps[..., :-1, :], out=bends[..., 1:, :])
            steps = bends
        # Zigzag: small numbers of either sign have zeros in their upper bytes.
        signed = steps.view(f"<i{array.itemsize}")
        flat = ((signed << 1) ^ (signed >> (8 * array.itemsize - 1))).reshape(-1)
    planes = np.ascontiguousarray(flat.reshape(-1, 1).view(np.uint8).T)
    deflate = zlib.compressobj(1, zlib.DEFLATED, -15, 8, strategy)
    stream = deflate.compress(planes.data) + deflate.flush()
    return (how, stream) if len(stream) < array.nbytes else ("raw", array.tobytes())


def _kind_of(array: NDArray[Any]) -> str:
    """Maps are smooth along two axes, whole numbers in a row along one, all else along none."""
    if array.itemsize not in (2, 4, 8) or array.dtype.kind == "c":
        return "planes"
    if array.ndim > 1 and min(array.shape[-2:]) >= _SMOOTH:
        return "bends"
    return "steps" if array.ndim == 1 and array.dtype.kind in "iu" else "planes"


def _restored(stream: bytes, dtype: str, shape: list[int], how: str) -> NDArray[Any]:
    kind = np.dtype(dtype)
    size = math.prod(shape)
    if how == "same":
        return np.full(shape, _exactly(stream, kind, 1)[0])
    if how == "raw":
        return _exactly(stream, kind, size).reshape(shape).copy()
    if how not in ("planes", "steps", "bends"):
        raise ValueError(f"unknown packing {how!r}")
    planes = np.frombuffer(_inflate(stream, size * kind.itemsize, -15), np.uint8)
    flat = planes.reshape(kind.itemsize, size).T.copy()
    if how == "planes":
        return flat.reshape(-1).view(kind).reshape(shape)
    zigzag = flat.reshape(-1).view(_UNSIGNED[kind.itemsize]).reshape(shape)
    bits = (zigzag >> 1) ^ (~(zigzag & 1) + 1)
    if how == "bends":
        np.cumsum(bits, axis=-2, dtype=bits.dtype, out=bits)
    np.cumsum(bits, axis=-1, dtype=bits.dtype, out=bits)
    return bits.view(kind)


def _exactly(stream: bytes, kind: np.dtype[Any], size: int) -> NDArray[Any]:
    if len(stream) != size * kind.itemsize:
        raise ValueError(f"{len(stream)} bytes for {size} numbers of {kind}")
    return np.frombuffer(stream, kind)


def _inflate(stream: bytes, size: int, window: int) -> bytes:
    """``size`` bytes; ValueError or zlib.error if the stream holds more, or fewer."""
    inflate = zlib.decompressobj(window)
    raw = inflate.decompress(stream, size + 1)
    if len(raw) != size or not inflate.eof:
        raise ValueError("a compressed part has another length than stated")
    return raw


def _plain(value: object) -> object:
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{value!r} is no plain value")
