"""Files that other programs open, one module a format, and the photos that users bring."""

from vmem.formats.files import ExportError
from vmem.formats.photos import Photo, PhotoError, Sample, load_photo, samples
from vmem.formats.video import VideoError
from vmem.formats.walk import KINDS, check_writable, export, export_walk

__all__ = [
    "KINDS",
    "ExportError",
    "Photo",
    "PhotoError",
    "Sample",
    "VideoError",
    "check_writable",
    "export",
    "export_walk",
    "load_photo",
    "samples",
]
