"""A user's photo as the square, upright 8-bit RGB image that a walk starts from.

Photos come straight from phones, scanners, web pages and other programs. Every format in FORMATS is
accepted, each change to the photo is reported in a sentence, and a photo that cannot be used is
refused with an error that says what was given, what is expected and what to do.
"""

from __future__ import annotations

import io
import json
import re
import stat
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal

import numpy as np
from jaxtyping import UInt8
from PIL import ExifTags, Image, ImageCms, ImageFile, ImageOps, UnidentifiedImageError

from vmem.arrays import U8
from vmem.errors import VMemError

DEFAULT_SIZE = 288
MIN_SIZE, MAX_SIZE, SIZE_STEP = 64, 1024, 8
"""Valid working sizes in pixels: multiples of SIZE_STEP from MIN_SIZE to MAX_SIZE."""
MIN_SIDE = 16
"""Length in pixels of the shorter side below which a photo is refused."""
MAX_PIXELS = 250_000_000
"""Larger images are mistakes or decompression bombs, and refused before a pixel is decoded."""
LARGE_PIXELS = 25_000_000
"""Number of pixels from which a note says how large the photo was."""

FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "AVIF", "TIFF", "BMP", "PPM", "JPEG2000", "TGA")
"""Pillow's names of the formats that are read. PostScript is not among them: it runs programs."""

_INSTALLED = Path(__file__).resolve().parents[1] / "assets"
ASSETS = _INSTALLED if _INSTALLED.is_dir() else _INSTALLED.parents[1] / "assets"
"""The samples: inside the package where a wheel put them, beside it in a source checkout."""

_SAVE_AS = "save it as an 8-bit JPEG or PNG and try again"
_one_at_a_time = threading.Lock()


class PhotoError(VMemError, ValueError):
    """A photo that cannot be used; the message says why and what to do."""


@dataclass(frozen=True, eq=False)
class Photo:
    """A photo ready for a walk."""

    rgb: UInt8[np.ndarray, "size size 3"]
    """Pixels in sRGB, upright."""
    name: str
    """File name for display, "photo" for a photo given as bytes."""
    notes: tuple[str, ...] = ()
    """Sentences for the user: what was changed."""


@dataclass(frozen=True)
class Sample:
    """A scene that comes with the program."""

    path: Path
    """Its image file."""
    title: str
    """Name for display."""
    credit: str
    """Author and licence."""
    kind: Literal["photo", "render"]
    """A real photo, or a render of the procedural world."""


def load_photo(source: str | Path | bytes, size: int = DEFAULT_SIZE) -> Photo:
    """Load a photo from a file's path or its bytes as ``size`` x ``size`` pixels.

    The largest centred square is kept. Nothing larger than needed is decoded where the format
    allows it (JPEG), so that a 100-megapixel photo loads in little memory.

    Raises PhotoError: neither path nor bytes, no such file, not a readable file, not an image,
    damaged, too small (below MIN_SIDE), too large (above MAX_PIXELS), or a ``size`` outside
    MIN_SIZE..MAX_SIZE or off the SIZE_STEP grid.
    """
    check_size(size)
    if not isinstance(source, str | Path | bytes):
        raise PhotoError(
            f"load_photo takes a file's path or bytes, got {type(source).__name__}: an array "
            "(H, W, 3) of uint8 opens as it is, vmem.open(array)"
        )
    if isinstance(source, bytes):
        return _load(io.BytesIO(source), "photo", size, empty=not source)
    path = _readable_file(source)
    try:
        with path.open("rb") as file:
            return _load(file, _shown(path.name), size, empty=path.stat().st_size == 0)
    except OSError as error:
        raise PhotoError(f"cannot read {_shown(path)}: {error.strerror or error}") from error


def check_size(size: int) -> None:
    """Raise PhotoError unless ``size`` is a valid working size; its message names the nearest."""
    if isinstance(size, bool) or not isinstance(size, int | np.integer):
        raise PhotoError(f"size must be a whole number of pixels, got {size!r}: try {DEFAULT_SIZE}")
    nearest = min(max(round(size / SIZE_STEP) * SIZE_STEP, MIN_SIZE), MAX_SIZE)
    if size != nearest:
        raise PhotoError(
            f"size must be a multiple of {SIZE_STEP} from {MIN_SIZE} to {MAX_SIZE} pixels, "
            f"got {size}: the nearest valid size is {nearest}"
        )


def check_pixels(rgb: object) -> None:
    """Raise PhotoError unless ``rgb`` is an array (H, W, 3) u8 that is no smaller and no larger
    than a file may be."""
    is_array = isinstance(rgb, np.ndarray)
    if not is_array or rgb.dtype != np.uint8 or rgb.ndim != 3 or rgb.shape[2] != 3:
        got = f"{rgb.shape} of {rgb.dtype}" if is_array else type(rgb).__name__
        raise PhotoError(
            f"a photo is a path, a file's bytes, or an array (H, W, 3) of uint8; got {got}: give "
            "red, green and blue from 0 to 255, as np.array(image.convert('RGB')) of Pillow does"
        )
    _check_dimensions((rgb.shape[1], rgb.shape[0]), "the photo")


def samples() -> tuple[Sample, ...]:
    """The scenes listed in ``samples.json`` of ASSETS.

    Raises PhotoError if the folder, the list or a listed file is missing or unreadable.
    """
    listing = ASSETS / "samples.json"
    remedy = "install the program again, or open a photo of your own"
    try:
        entries = json.loads(listing.read_text(encoding="utf-8"))
        found = tuple(
            Sample(ASSETS / entry["file"], entry["title"], entry["credit"], entry["kind"])
            for entry in entries
        )
    except FileNotFoundError as error:
        raise PhotoError(f"the sample scenes are missing, no file {listing}: {remedy}") from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise PhotoError(f"the list of sample scenes {listing} cannot be read: {remedy}") from error
    for sample in found:
        if not sample.path.is_file():
            raise PhotoError(f"the sample scene {sample.path} is missing: {remedy}")
    return found


# --- reading a file --------------------------------------------------------------------------


def _readable_file(source: str | Path) -> Path:
    # A Path has lost one of the address's two slashes.
    if address := re.match(r"(https?):/+(.*)", str(source), re.IGNORECASE | re.DOTALL):
        raise PhotoError(
            f"{address[1]}://{_shown(address[2])} is a web address: download the photo, then give "
            "its path"
        )
    path = Path(source)
    try:
        path = path.expanduser()
        mode = path.stat().st_mode
    except FileNotFoundError as error:
        raise PhotoError(f"there is no file {_shown(path)}: check the path") from error
    except (OSError, ValueError, RuntimeError) as error:
        reason = getattr(error, "strerror", error)
        raise PhotoError(f"cannot read {_shown(path)}: {reason}") from error
    if stat.S_ISDIR(mode):
        raise PhotoError(f"{_shown(path)} is a folder: give the path of one photo in it")
    if not stat.S_ISREG(mode):
        raise PhotoError(f"{_shown(path)} is not a regular file: give the path of a photo")
    return path


def _shown(path: str | Path) -> str:
    """A path as text that any page or terminal can show: bytes that are not UTF-8 are replaced."""
    return str(path).encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _load(file: BinaryIO, name: str, size: int, *, empty: bool) -> Photo:
    if empty:
        raise PhotoError(f"{name} is empty (0 bytes): copy or download it again")
    try:
        with _pillow_unlimited(), Image.open(file, formats=_known_formats()) as image:
            _check_dimensions(image.size, name)
            rgb, notes = _prepare(image, size)
    except PhotoError:
        raise
    except UnidentifiedImageError as error:
        raise PhotoError(f"{name} is not an image that can be read: {_SAVE_AS}") from error
    except Exception as error:
        # Pillow's decoders raise nearly anything on damaged data, SyntaxError included.
        raise PhotoError(
            f"{name} is damaged, incomplete or of an unsupported kind ({error}): {_SAVE_AS}"
        ) from error
    return Photo(rgb, name, tuple(notes))


@contextmanager
def _pillow_unlimited() -> Iterator[None]:
    """Pillow without its own size limit, which is lower than MAX_PIXELS, and without warnings.

    Both settings hold for the whole process, so only one photo is loaded at a time.
    """
    with _one_at_a_time, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = limit


def _known_formats() -> list[str]:
    """Those of FORMATS that this build of Pillow can read; some cannot read AVIF."""
    Image.init()
    return [name for name in FORMATS if name in Image.OPEN]


def _check_dimensions(wh: tuple[int, int], name: str) -> None:
    width, height = wh
    if width * height > MAX_PIXELS:
        raise PhotoError(
            f"{name} has {width} x {height} pixels, more than {MAX_PIXELS // 10**6} megapixels: "
            "reduce it and try again"
        )
    if min(width, height) < MIN_SIDE:
        raise PhotoError(
            f"{name} has only {width} x {height} pixels: "
            f"use a photo of at least {MIN_SIDE} x {MIN_SIDE}"
        )


# --- from any image to an upright square -----------------------------------------------------


def _prepare(image: ImageFile.ImageFile, size: int) -> tuple[U8, list[str]]:
    """Pixels (size, size, 3) of the photo, and notes on what was changed."""
    notes: list[str] = []
    if getattr(image, "is_animated", False) and image.format != "MPO":
        notes.append(f"{'Several pages' if image.format == 'TIFF' else 'Animated'}: first used.")
    width, height = image.size
    if width * height >= LARGE_PIXELS:
        notes.append(f"Reduced from {width * height / 1e6:.0f} megapixels.")
    if width != height:
        notes.append("Cropped to a centred square.")
    if min(width, height) < size:
        notes.append(f"Enlarged from {min(width, height)} pixels: it will look soft.")

    # A JPEG is decoded at 1/2, 1/4 or 1/8 size, still at least twice what is asked for.
    image.draft(None, (2 * size, 2 * size))
    if image.getexif().get(ExifTags.Base.Orientation, 1) in range(2, 9):
        notes.append("Turned upright as its EXIF data says.")
    image.load()  # turns a TIFF upright and drops its orientation
    upright = ImageOps.exif_transpose(image)
    square = _resized_square(_resizable(upright, notes), size)
    square = _flattened(square, image.info.get("icc_profile"), notes)
    return np.array(square, np.uint8), notes


def _resizable(image: Image.Image, notes: list[str]) -> Image.Image:
    """The image in a mode that can be averaged: no palette, and 8 bits a channel."""
    if image.mode in ("P", "PA"):
        return image.convert("RGBA" if image.has_transparency_data else "RGB")
    if image.mode == "1":
        return image.convert("L")
    if image.mode == "F" or image.mode.startswith("I"):
        notes.append("Brightness scaled from more than 8 bits a channel.")
        return Image.fromarray(_to_8_bit(np.asarray(image)))
    if image.has_transparency_data and image.mode in ("L", "RGB"):
        return image.convert("RGBA")  # one colour of the file means transparent
    return image


def _to_8_bit(values: np.ndarray) -> U8:
    """Grey levels (H, W) of 16-bit, 32-bit or float images as u8.

    Integers are read as 0 to 65535 and floats as 0 to 1. If a value lies outside, the file follows
    no convention, and its own minimum and maximum become 0 and 255.
    """
    levels = np.nan_to_num(values.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    low, high = 0.0, 1.0 if values.dtype.kind == "f" else 65535.0
    if levels.min() < low or levels.max() > high:
        low, high = float(levels.min()), float(levels.max())
    return np.rint((levels - low) * (255.0 / (high - low))).astype(np.uint8)


def _resized_square(image: Image.Image, size: int) -> Image.Image:
    """The largest centred square of the image at ``size`` x ``size`` pixels."""
    width, height = image.size
    side = min(width, height)
    left, top = (width - side) / 2, (height - side) / 2
    box = (left, top, left + side, top + side)
    return image.resize((size, size), Image.Resampling.LANCZOS, box=box, reducing_gap=3.0)


def _flattened(square: Image.Image, icc_profile: bytes | None, notes: list[str]) -> Image.Image:
    """The image in sRGB, over white where it is transparent."""
    if square.mode in ("RGBA", "LA", "La", "RGBa"):
        rgba = square.convert("RGBA")
        if rgba.getchannel("A").getextrema() != (255, 255):
            notes.append("Transparency flattened onto white.")
        square = Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba)
        square = square.convert("RGB")
    if icc_profile and (converted := _to_srgb(square, icc_profile)):
        notes.append("Colours converted to sRGB from the photo's own colour space.")
        return converted
    return square.convert("RGB")


def _to_srgb(image: Image.Image, icc_profile: bytes) -> Image.Image | None:
    """The image converted to sRGB; None if its profile is sRGB, unreadable or of another mode."""
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(icc_profile))
        if "srgb" in ImageCms.getProfileDescription(profile).lower():
            return None
        srgb = ImageCms.createProfile("sRGB")
        return ImageCms.profileToProfile(image, profile, srgb, outputMode="RGB")
    except (OSError, ImageCms.PyCMSError):
        return None
