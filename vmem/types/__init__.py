"""Values that flow between the parts: frozen, checked where they are made, no algorithms."""

from vmem.types.answer_text import PictureShares
from vmem.types.arrays_state import StateArrays
from vmem.types.association import MIN_CONFIDENCE, POINTS_PER_FRAME, AssociationConfig
from vmem.types.buffers import SurfelBuffers, overlaid
from vmem.types.point_maps import PointMapError, PointMaps
from vmem.types.query import (
    DEFAULT_STRATEGY,
    PUBLISHED,
    WEIGHTINGS,
    Query,
    RetrievalError,
    view_numbers,
)
from vmem.types.reasons import Reason, ReasonKind
from vmem.types.retrieval import (
    PackedRetrieval,
    Retrieval,
    RetrievalOutline,
    Sparse,
    StoredRetrieval,
)
from vmem.types.step import StepEnd, StepRecord, StepRequest
from vmem.types.surfels import SurfelError, Surfels
from vmem.types.views import MAPS, Frames, Provenance, StoredView, View, ViewId

__all__ = [
    "DEFAULT_STRATEGY",
    "MAPS",
    "MIN_CONFIDENCE",
    "POINTS_PER_FRAME",
    "PUBLISHED",
    "WEIGHTINGS",
    "AssociationConfig",
    "Frames",
    "PackedRetrieval",
    "PictureShares",
    "PointMapError",
    "PointMaps",
    "Provenance",
    "Query",
    "Reason",
    "ReasonKind",
    "Retrieval",
    "RetrievalError",
    "RetrievalOutline",
    "Sparse",
    "StateArrays",
    "StepEnd",
    "StepRecord",
    "StepRequest",
    "StoredRetrieval",
    "StoredView",
    "SurfelBuffers",
    "SurfelError",
    "Surfels",
    "View",
    "ViewId",
    "overlaid",
    "view_numbers",
]
