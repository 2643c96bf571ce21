"""The layout from one photo: synthetic rooms are recovered, and any photo gives a usable scene."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import cast

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from vmem.cameras import Camera, Cameras, default_K, rotation_x, rotation_y
from vmem.geometry.layout import Layout, LayoutEstimator, Region, estimate_layout
from vmem.geometry.lines import down_direction
from vmem.geometry.shape import MAX_STEP, Limits, close_tears, limit_walls
from vmem.memory import MemorySnapshot
from vmem.views import Frames
