"""Blobs: arrays and frames come back to the bit, and no blob costs more than it says."""

from __future__ import annotations

import json
import pickle
import struct
import tracemalloc
import zlib
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from tests.store.records import same
from vmem.store import StoreError
from vmem.store.codecs import MAX_BYTES, pack, png, rgb_of, unpack

DTYPES = ("?", "u1", "i1", "u2", "i2", "f2", "u4", "i4", "f4", "u8", "i8", "f8", "c8", "c16")


@st.composite
def arrays(draw: st.DrawFn) -> np.ndarray[Any, Any]:
    """Any bits in any type, in shapes that each way of packing has for its own."""
    dtype = np.dtype(draw(st.sampled_from(DTYPES)))
    shape = draw(
        st.sampled_from([(), (0,), (1,), (2, 0), (7,), (40,), (3, 4), (17, 16), (2, 16, 18)])
    )
    smooth = draw(st.booleans())
    size = int(np.prod(shape))
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    if dtype.kind == "b" or smooth:
        return np.linspace(-9, 9, size).astype("f8").reshape(shape).astype(dtype)
    array = rng.integers(0, 256, size * dtype.itemsize, np.uint8).view(dtype).reshape(shape)
    return array.T if draw(st.booleans()) else array


@settings(max_examples=50)
@given(st.dictionaries(st.text(max_size=4), arrays(), max_size=3))
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_any_arrays_come_back_to_the_bit(made: dict[str, Any]) -> None:
    facts = {"note": "°", "numbers": [0.1, -0.0, float("inf"), 2**70], "none": None}
    read, said = unpack(pack(made, facts))
    assert same(read, made)
    assert repr(said) == repr(facts)
    assert all(array.flags.writeable for array in read.values())


def test_arrays_of_one_value_keep_its_bits() -> None:
    for value in (np.float32(-0.0), np.array(0x7FC0_0001, np.uint32).view(np.float32)):
        whole = np.full((16, 16), value)
        data = pack({"a": whole})
        assert same(unpack(data)[0]["a"], whole)
        assert len(data) < 100


def test_big_endian_arrays_keep_their_values() -> None:
    read, _ = unpack(pack({"a": np.arange(5, dtype=">i4")}))
    assert read["a"].tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("array", [np.array([object()]), np.array(["x"]), np.zeros(1, "f2,f2")])
def test_what_are_no_numbers_is_refused(array: Any) -> None:
    with pytest.raises(StoreError, match="only numbers"):
        pack({"a": array})


@given(hnp.arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9), st.just(3))))
def test_a_frame_is_a_png_that_others_read(rgb: Any) -> None:
    data = png(rgb)
    assert same(rgb_of(data), rgb)
    assert same(np.asarray(Image.open(BytesIO(data))), rgb)


@given(st.data())
def test_damaged_blobs_are_store_errors(data: st.DataObject) -> None:
    arrays = {"depth": np.linspace(1, 2, 400, dtype="f4").reshape(20, 20), "k": np.arange(9)}
    read, blob = data.draw(st.sampled_from([(unpack, pack(arrays)), (rgb_of, _frame())]))
    at = data.draw(st.integers(0, len(blob) - 1))
    damaged = blob[:at] + bytes([blob[at] ^ data.draw(st.integers(1, 255))]) + blob[at + 1 :]
    if data.draw(st.booleans()):
        damaged = damaged[:at]
    try:
        read(damaged)
    except StoreError:
        return
    # A frame has check sums; the other blobs' are in the table.
    assert read is unpack


def _frame() -> bytes:
    return png(np.arange(300, dtype=np.uint8)[:300].reshape(10, 10, 3))


def _forged(rows: list[Any], stream: bytes = b"", size: int | None = None) -> bytes:
    text = json.dumps([None, rows]).encode()
    header = zlib.compress(text)
    return struct.pack("<4sII", b"VMA1", len(header), size or len(text)) + header + stream


BOMB = zlib.compress(bytes(1 << 26), 9)
RAW_BOMB = BOMB[2:-4]


@pytest.mark.parametrize(
    "blob",
    [
        b"",
        pickle.dumps(StoreError),
        _forged([["a", "|O", [1], "raw", 8]], bytes(8)),
        _forged([["a", "<f4", [1 << 40], "same", 4]], bytes(4)),
        _forged([["a", "<f4", [-1, -4], "raw", 16]], bytes(16)),
        _forged([["a", "<f4", [True], "raw", 4]], bytes(4)),
        _forged([["a", "<f4", [1] * 64, "raw", 4]], bytes(4)),
        _forged([["a", "<f4", [1], "raw", 1 << 40]], bytes(4)),
        _forged([["a", "<f4", [2], "raw", 4]], bytes(4)),
        _forged([["a", "<f4", [1], "exec", 4]], bytes(4)),
        _forged([["a", "<f4", [], "steps", len(RAW_BOMB)]], RAW_BOMB),
        _forged([["a", "<f4", [1], "planes", len(RAW_BOMB)]], RAW_BOMB),
        _forged([["a", "|u1", [MAX_BYTES + 1], "planes", len(RAW_BOMB)]], RAW_BOMB),
        _forged([[str(i), "|u1", [0], "raw", 0] for i in range(5000)]),
        _forged(["aaaaa", 7]),
        _forged([], size=1 << 30),
        struct.pack("<4sII", b"VMA1", len(BOMB), 99) + BOMB,
        struct.pack("<4sII", b"VMA1", 8, 99) + b"[" * 99,
        _forged([])[:12] + zlib.compress(b"[" * 100_000),
    ],
)
def test_hostile_blobs_are_refused_within_bounds(blob: bytes) -> None:
    tracemalloc.start()
    with pytest.raises(StoreError, match="cannot be read"):
        unpack(blob)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4e6


def test_frames_that_inflate_beyond_their_size_are_refused() -> None:
    def chunk(kind: bytes, body: bytes) -> bytes:
        crc = struct.pack(">I", zlib.crc32(kind + body))
        return struct.pack(">I", len(body)) + kind + body + crc

    for side in (4, 30_000):
        head = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
        parts = chunk(b"IHDR", head), chunk(b"IDAT", BOMB), chunk(b"IEND", b"")
        with pytest.raises(StoreError, match="frame"):
            rgb_of(b"\x89PNG\r\n\x1a\n" + b"".join(parts))
