"""What a walk remembers: surfels, views, links, and how new views enter."""

from vmem.memory.association import Association, associate
from vmem.memory.ingest import make_record
from vmem.memory.links import LinkError, LinkIndex
from vmem.memory.snapshot import MemorySnapshot, MemoryStateError, render
from vmem.memory.spawn import grid_size, surfels_from_pointmap
from vmem.memory.view_memory import ViewMemory

__all__ = [
    "Association",
    "LinkError",
    "LinkIndex",
    "MemorySnapshot",
    "MemoryStateError",
    "ViewMemory",
    "associate",
    "grid_size",
    "make_record",
    "render",
    "surfels_from_pointmap",
]
