"""Released weights: find, fetch, convert and load them."""

from vmem.weights.advice import CheckpointError
from vmem.weights.catalogue import CLIP, PARTS, VMEM_UNET, Part, Source
from vmem.weights.hub import fetch, find
from vmem.weights.loading import as_safetensors, load_strict, read_state, without_module
from vmem.weights.mapped import MappedState
from vmem.weights.parts import Files, WeightStatus, fetch_part, find_part
from vmem.weights.parts import all_status as status

__all__ = [
    "CLIP",
    "PARTS",
    "VMEM_UNET",
    "CheckpointError",
    "Files",
    "MappedState",
    "Part",
    "Source",
    "WeightStatus",
    "as_safetensors",
    "fetch",
    "fetch_part",
    "find",
    "find_part",
    "load_strict",
    "read_state",
    "status",
    "without_module",
]
