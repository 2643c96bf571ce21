"""Photos as people have them: every odd file loads upright and square, or is refused kindly."""

from __future__ import annotations

import io
import json
import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import ExifTags, Image, ImageCms

from vmem.errors import VMemError
from vmem.formats import photos
from vmem.formats.photos import PhotoError, load_photo, samples

SIZE = 64
RED, GREEN, BLUE, WHITE = (220, 30, 30), (30, 160, 40), (30, 40, 200), (250, 250, 250)


def quadrants(wh: tuple[int, int] = (96, 96)) -> Image.Image:
    """Red top left, green top right, blue bottom left, white bottom right."""
    w, h = wh
    image = Image.new("RGB", wh, WHITE)
    image.paste(RED, (0, 0, w // 2, h // 2))
    image.paste(GREEN, (w // 2, 0, w, h // 2))
    image.paste(BLUE, (0, h // 2, w // 2, h))
    return image


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def corners(rgb: np.ndarray) -> np.ndarray:
    """(4, 3) colours in the middle of each quadrant: top left, top right, bottom left, right."""
    a, b = rgb.shape[0] // 4, 3 * rgb.shape[0] // 4
    return rgb[[a, a, b, b], [a, b, a, b]].astype(int)


def assert_upright(rgb: np.ndarray, tolerance: int = 12) -> None:
    assert rgb.dtype == np.uint8
    assert np.abs(corners(rgb) - (RED, GREEN, BLUE, WHITE)).max() <= tolerance


def png_header(w: int, h: int) -> bytes:
    """The beginning of a PNG that claims a size; its pixels are missing."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        )

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", w, h, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


# --- shapes and sizes ------------------------------------------------------------------------


def test_plain_photo_has_no_notes_and_keeps_its_colours(tmp_path):
    path = tmp_path / "room.png"
    quadrants().save(path)
    photo = load_photo(path, SIZE)
    assert photo.rgb.shape == (SIZE, SIZE, 3)
    assert (photo.name, photo.notes) == ("room.png", ())
    assert_upright(photo.rgb)
    assert_upright(load_photo(str(path), SIZE).rgb)


def test_bytes_equal_the_file(tmp_path):
    path = tmp_path / "room.png"
    quadrants().save(path)
    photo = load_photo(path.read_bytes(), SIZE)
    assert photo.name == "photo"
    np.testing.assert_array_equal(photo.rgb, load_photo(path, SIZE).rgb)


@pytest.mark.parametrize("wh", [(192, 96), (96, 192)])
def test_largest_centred_square_is_kept(wh):
    image = Image.new("RGB", wh, (255, 0, 255))
    left, top = (wh[0] - 96) // 2, (wh[1] - 96) // 2
    image.paste(quadrants(), (left, top))
    photo = load_photo(encoded(image), SIZE)
    assert_upright(photo.rgb)
    assert np.abs(photo.rgb[0, 0].astype(int) - RED).max() < 40
    assert photo.notes == ("Cropped to a centred square.",)


def test_small_photo_is_enlarged_and_says_so():
    photo = load_photo(encoded(quadrants((20, 20))), SIZE)
    assert_upright(photo.rgb)
    assert photo.notes == ("Enlarged from 20 pixels: it will look soft.",)


def test_large_jpeg_is_decoded_reduced(monkeypatch):
    asked: list[tuple[int, int]] = []
    decode = Image.Image.resize

    def spy(self, *args, **kwargs):
        asked.append(self.size)
        return decode(self, *args, **kwargs)

    monkeypatch.setattr(Image.Image, "resize", spy)
    photo = load_photo(encoded(quadrants((6000, 5000)), "JPEG"), SIZE)
    assert_upright(photo.rgb)
    assert "Reduced from 30 megapixels." in photo.notes
    assert max(asked[0]) <= 750


def test_downsampling_averages():
    fine = np.zeros((1024, 1024, 3), np.uint8)
    fine[::2, ::2] = fine[1::2, 1::2] = 255
    rgb = load_photo(encoded(Image.fromarray(fine)), SIZE).rgb
    assert np.abs(rgb[8:-8, 8:-8].astype(int) - 127).max() <= 3


# --- modes -----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
def test_cmyk(kind):
    options = {"quality": 95} if kind == "JPEG" else {}
    assert_upright(load_photo(encoded(quadrants().convert("CMYK"), kind, **options), SIZE).rgb, 20)


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_16_bit_grey(kind):
    levels = np.repeat(np.linspace(0, 65535, 96)[None], 96, axis=0).astype(np.uint16)
    photo = load_photo(encoded(Image.fromarray(levels), kind), SIZE)
    row = photo.rgb[SIZE // 2, :, 0].astype(float)
    expected = (np.arange(SIZE) + 0.5) / SIZE * 255
    assert np.abs(row - expected).max() < 4
    assert photo.notes == ("Brightness scaled from more than 8 bits a channel.",)


def test_32_bit_integers_of_16_bit_range_are_not_clipped():
    levels = np.full((96, 96), 0x8000, np.int32)
    assert load_photo(encoded(Image.fromarray(levels), "TIFF"), SIZE).rgb.max() == 128


@pytest.mark.parametrize(("scale", "expected"), [(1.0, 128), (1000.0, 128)])
def test_float_tiff(scale, expected):
    levels = np.full((96, 96), 0.5 * scale, np.float32)
    levels[:8] = 0.0
    levels[-8:] = scale
    levels[40, 40] = np.nan
    rgb = load_photo(encoded(Image.fromarray(levels), "TIFF"), SIZE).rgb
    assert abs(int(rgb[20, 20, 0]) - expected) <= 1


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparency_becomes_white(mode):
    image = quadrants().convert("RGBA")
    image.paste((0, 0, 0, 0), (0, 0, 48, 48))
    if mode == "LA":
        image = image.convert("LA")
    data = encoded(image.quantize(8) if mode == "P" else image)
    photo = load_photo(data, SIZE)
    assert (corners(photo.rgb)[0] >= 250).all()
    assert "Transparency flattened onto white." in photo.notes


def test_transparent_colour_of_an_rgb_png_becomes_white():
    photo = load_photo(encoded(quadrants(), transparency=RED), SIZE)
    assert (corners(photo.rgb)[0] >= 250).all()
    assert np.abs(corners(photo.rgb)[2] - BLUE).max() <= 12


def test_opaque_alpha_needs_no_note():
    assert load_photo(encoded(quadrants().convert("RGBA")), SIZE).notes == ()


@pytest.mark.parametrize("mode", ["L", "1", "P"])
def test_grey_bits_and_palette(mode):
    image = quadrants().convert(mode) if mode != "P" else quadrants().quantize(16)
    rgb = load_photo(encoded(image), SIZE).rgb
    bright, dark = corners(rgb)[3].mean(), corners(rgb)[2].mean()
    assert bright > dark + 90


def test_srgb_and_broken_colour_profiles_change_nothing():
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    plain = load_photo(encoded(quadrants(), icc_profile=srgb), SIZE)
    broken = load_photo(encoded(quadrants(), icc_profile=b"no profile"), SIZE)
    assert plain.notes == broken.notes == ()
    np.testing.assert_array_equal(plain.rgb, broken.rgb)


def test_colour_profile_is_applied():
    """A profile whose red and blue primaries are exchanged shows red as blue."""
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    exchanged = srgb.replace(b"rXYZ", b"temp").replace(b"bXYZ", b"rXYZ").replace(b"temp", b"bXYZ")
    renamed = exchanged.replace("sRGB".encode("utf-16-be"), "swap".encode("utf-16-be"))
    photo = load_photo(encoded(quadrants(), icc_profile=renamed), SIZE)
    assert np.abs(corners(photo.rgb)[0] - RED[::-1]).max() < 12
    assert photo.notes == ("Colours converted to sRGB from the photo's own colour space.",)


# --- orientation, animation ------------------------------------------------------------------

UNDO = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}
"""How a camera stores an upright picture for each EXIF orientation."""


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_exif_orientation_comes_out_upright(kind, orientation):
    stored = quadrants((96, 80))
    if orientation in UNDO:
        stored = stored.transpose(UNDO[orientation])
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    photo = load_photo(encoded(stored, kind, exif=exif), SIZE)
    assert_upright(photo.rgb, 30)
    turned = "Turned upright as its EXIF data says." in photo.notes
    assert turned == (orientation > 1)
    assert "Cropped to a centred square." in photo.notes


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF"])
def test_first_frame_of_many(kind):
    frames = {"save_all": True, "append_images": [Image.new("RGB", (96, 96), "black")] * 2}
    photo = load_photo(encoded(quadrants(), kind, **frames), SIZE)
    assert_upright(photo.rgb, 30)
    assert photo.notes == (f"{'Several pages' if kind == 'TIFF' else 'Animated'}: first used.",)


# --- refusals --------------------------------------------------------------------------------


@pytest.mark.parametrize("source", [None, 5, np.zeros((32, 32, 3), np.uint8), quadrants()])
def test_what_is_no_file_is_refused(source):
    with pytest.raises(PhotoError, match="takes a file's path or bytes, got"):
        load_photo(source)


def test_bad_paths(tmp_path):
    with pytest.raises(PhotoError, match="there is no file"):
        load_photo(tmp_path / "none.jpg")
    with pytest.raises(PhotoError, match="is a folder"):
        load_photo(tmp_path)
    with pytest.raises(PhotoError, match="not a regular file"):
        load_photo("/dev/zero")
    with pytest.raises(PhotoError, match="cannot read"):
        load_photo("x\0y.jpg")
    for address in ("https://example.org/room.jpg", Path("https://example.org/room.jpg")):
        with pytest.raises(PhotoError, match=r"^https://example\.org/room\.jpg is a web address"):
            load_photo(address)


def test_a_name_that_is_not_utf_8_is_shown_with_replacement_characters(tmp_path):
    path = tmp_path / os.fsdecode(b"caf\xe9.png")
    with pytest.raises(PhotoError, match=r"no file .*/caf\ufffd\.png"):
        load_photo(path)
    quadrants().save(path)
    assert load_photo(path, SIZE).name == "caf\ufffd.png"
    path.write_bytes(b"")
    with pytest.raises(PhotoError, match=r"caf\ufffd\.png is empty"):
        load_photo(path)


def test_unreadable_file(tmp_path, monkeypatch):
    path = tmp_path / "room.png"
    quadrants().save(path)

    def refuse(*_args, **_kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(type(path), "open", refuse)
    with pytest.raises(PhotoError, match="Permission denied"):
        load_photo(path)


@pytest.mark.parametrize("data", [b"", b"no image at all", b"%!PS-Adobe-3.0 EPSF-3.0\n"])
def test_not_an_image(data):
    with pytest.raises(PhotoError, match=r"empty|not an image"):
        load_photo(data)


@pytest.mark.parametrize("wh", [(1, 1), (15, 400), (400, 15)])
def test_too_small(wh):
    with pytest.raises(PhotoError, match="at least 16 x 16"):
        load_photo(encoded(Image.new("RGB", wh)))


@pytest.mark.parametrize("side", [15812, 60000])
def test_decompression_bomb_is_refused_before_decoding(side):
    limit = Image.MAX_IMAGE_PIXELS
    with pytest.raises(PhotoError, match="more than 250 megapixels"):
        load_photo(png_header(side, side))
    assert limit == Image.MAX_IMAGE_PIXELS


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "GIF", "WEBP"])
def test_half_a_file_is_refused(kind):
    noise = np.random.default_rng(0).integers(0, 256, (96, 96, 3), np.uint8)
    data = encoded(Image.fromarray(noise), kind)
    with pytest.raises(PhotoError):
        load_photo(data[: len(data) // 2])


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_damaged_files_load_or_are_refused_but_never_crash(data):
    kind = data.draw(st.sampled_from(["PNG", "JPEG", "TIFF", "GIF", "WEBP", "BMP"]))
    file = bytearray(encoded(quadrants((24, 24)), kind))
    for _ in range(data.draw(st.integers(1, 4))):
        file[data.draw(st.integers(0, len(file) - 1))] = data.draw(st.integers(0, 255))
    try:
        photo = load_photo(bytes(file), SIZE)
    except PhotoError:
        return
    assert photo.rgb.shape == (SIZE, SIZE, 3)


@pytest.mark.parametrize(
    ("size", "advice"),
    [
        (60, "nearest valid size is 64"),
        (0, "nearest valid size is 64"),
        (-5, "nearest valid size is 64"),
        (290, "nearest valid size is 288"),
        (5000, "nearest valid size is 1024"),
        (288.0, "whole number"),
        (True, "whole number"),
    ],
)
def test_bad_sizes_name_a_good_one(size, advice):
    with pytest.raises(PhotoError, match=advice):
        load_photo(encoded(quadrants()), size)


def test_photo_errors_are_for_the_user():
    assert issubclass(PhotoError, VMemError)
    assert issubclass(PhotoError, ValueError)


# --- samples ---------------------------------------------------------------------------------


def test_samples_load_and_are_credited():
    found = samples()
    assert found[0].path.stem == "hotel_room", "a walk begins indoors"
    assert {sample.kind for sample in found} == {"photo", "render"}
    listed = (photos.ASSETS / "SOURCES.md").read_text(encoding="utf-8")
    for sample in found:
        photo = load_photo(sample.path, SIZE)
        assert photo.rgb.std() > 10
        assert sample.title
        assert sample.credit
        assert sample.path.name in listed


@pytest.mark.parametrize("listing", [None, "{", '[{"file": "x.jpg"}]', "[3]"])
def test_missing_or_broken_sample_list(tmp_path, monkeypatch, listing):
    if listing is not None:
        (tmp_path / "samples.json").write_text(listing)
    monkeypatch.setattr(photos, "ASSETS", tmp_path)
    with pytest.raises(PhotoError, match="sample"):
        samples()


def test_missing_sample_file(tmp_path, monkeypatch):
    entry = {"file": "gone.jpg", "title": "Gone", "credit": "nobody", "kind": "photo"}
    (tmp_path / "samples.json").write_text(json.dumps([entry]))
    monkeypatch.setattr(photos, "ASSETS", tmp_path)
    with pytest.raises(PhotoError, match=r"gone\.jpg"):
        samples()
