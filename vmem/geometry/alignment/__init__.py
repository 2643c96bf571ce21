"""Depth up to a scale, brought to the unit of the memory."""

from vmem.geometry.alignment.fit_views import align
from vmem.geometry.alignment.predicted import Predicted
from vmem.geometry.alignment.report import Aligned, AlignmentConfig, AlignmentReport
from vmem.geometry.alignment.rescale import rescaled
from vmem.geometry.alignment.robust_fit import robust_fit

__all__ = [
    "Aligned",
    "AlignmentConfig",
    "AlignmentReport",
    "Predicted",
    "align",
    "rescaled",
    "robust_fit",
]
