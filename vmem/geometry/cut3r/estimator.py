"""CUT3R as a geometry estimator: new frames pass through the network and are aligned with memory.

The network's state is kept with the last view of each step (`View.geometry_state`), so undo, redo
and branches need no care: whatever memory is handed in, its newest view has the state to continue
from. Where that is missing, the stored views pass through the network once more.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch

from vmem.arrays import F64
from vmem.cameras import Cameras
from vmem.devices.advice import memory_advice
from vmem.devices.devices import pick_device
from vmem.devices.recovery import with_advice
from vmem.devices.settings import NetworkSettings
from vmem.geometry.aligned_or_layout import align_or_lay_out
from vmem.geometry.alignment.predicted import Predicted
from vmem.geometry.cut3r.config import NotFiniteStateError
from vmem.geometry.cut3r.heads import Prediction
from vmem.geometry.cut3r.kept_state import KeptState
from vmem.geometry.cut3r.loading import Network, borrowed
from vmem.geometry.cut3r.network import State
from vmem.geometry.cut3r.preprocess import SIZE, Crop, crop_maps, prepare
from vmem.geometry.layout.first_camera import first_camera
from vmem.memory import MemorySnapshot
from vmem.progress import CancelToken, OnProgress, Progress, silent
from vmem.types import Frames, PointMaps, View

Borrow = Callable[[OnProgress, CancelToken], AbstractContextManager[Network]]


class Cut3rEstimator:
    """The GeometryEstimator that runs CUT3R and keeps its state with the views."""

    def __init__(
        self,
        settings: NetworkSettings | None = None,
        *,
        size: int = SIZE,
        borrow: Borrow | None = None,
    ) -> None:
        """``settings``: device and memory preset, those of the generator by default.

        ``size``: longer side, in pixels, at which the network is shown frames. ``borrow``: gives
        the network for the time of one call; by default the released one, loaded when first needed.
        """
        self.size = size
        self._settings = settings or NetworkSettings()
        self._borrow = borrow or partial(borrowed, self._settings)

    place = staticmethod(first_camera)

    def estimate(
        self,
        frames: Frames,
        cameras: Cameras,
        memory: MemorySnapshot,
        *,
        on_progress: OnProgress = silent,
        cancel: CancelToken | None = None,
    ) -> PointMaps:
        """Point maps of T new frames; depth that they carry is used only for views that cannot be
        placed.

        The note says how each view was placed. Raises CheckpointError, Cut3rError for frames too
        narrow for the network, NotEnoughMemoryError, DeviceLostError, Cancelled.
        """
        cancel = cancel or CancelToken()
        predicted, kept, remarks = self.predict(frames, cameras, memory, on_progress, cancel)
        cancel.check()
        aligned = align_or_lay_out(predicted, frames, cameras, memory)
        note = "; ".join([str(aligned.report), *remarks])
        return replace(aligned.maps, state=kept.to_arrays(), note=note)

    def predict(
        self,
        frames: Frames,
        cameras: Cameras,
        memory: MemorySnapshot,
        on_progress: OnProgress,
        cancel: CancelToken,
    ) -> tuple[Predicted, KeptState, list[str]]:
        """The network's prediction for T new frames, its state after them, and remarks for the log.

        Views pass one at a time, so that a state does not depend on how they were grouped into
        steps.
        """
        images, crop = prepare(frames.rgb, self.size, whole_square=True)

        def look() -> tuple[Predicted, KeptState, list[str]]:
            with self._borrow(on_progress, cancel) as network:
                run = _Run.going_on(network, self.size, memory)
                past = memory.views[run.seen :]
                remarks = [f"{len(past)} stored views shown to the network again"] if past else []
                total, done = len(past) + len(frames), 0
                on_progress(Progress("geometry", done, total))
                for view in past:
                    cancel.check()
                    self._show_again(run, view)
                    done += 1
                    on_progress(Progress("geometry", done, total))
                said: list[Prediction | None] = []
                for i, image in enumerate(images):
                    cancel.check()
                    said.append(run.show(image, cameras[i].c2w, ("own", "world")))
                    if said[-1] is None:
                        remarks.append(f"view {i} would have spoilt the network's state: left out")
                    done += 1
                    on_progress(Progress("geometry", done, total))
                return _as_predicted(said, crop, run.origin), run.kept(), remarks

        return with_advice(look, lambda: pick_device(self._settings.device), self._advice)

    def _advice(self, device: torch.device) -> str:
        when = "while CUT3R looked at the new frames"
        return memory_advice(self._settings, device, when, "--geometry layout")

    def _show_again(self, run: _Run, view: View) -> None:
        image, _ = prepare(view.rgb[None], self.size, whole_square=True)
        run.show(image[0], view.camera.c2w, ())


@dataclass(eq=False)
class _Run:
    """A run of the network over views in their order, with its state on the device."""

    network: Network
    stamp: str
    """Which weights and settings made the state: a state of others is not used."""
    state: State
    seen: int
    """Number of views shown so far, those included that were left out."""
    origin: F64 | None
    """(4, 4) c2w of the first view that the network took."""

    @staticmethod
    def going_on(network: Network, size: int, memory: MemorySnapshot) -> _Run:
        """Continue from the newest stored view with a state of this network, else begin."""
        stamp = repr((*network.stamp, size))
        for n in range(len(memory.views), 0, -1):
            arrays = memory.views[n - 1].geometry_state
            kept = None if arrays is None else KeptState.from_arrays(arrays)
            if kept is not None and (kept.seen, kept.stamp) == (n, stamp):
                state = kept.state.to(network.device)
                return _Run(network, stamp, state, n, kept.origin)
        return _Run(network, stamp, network.net.start(), 0, None)

    def show(self, image: torch.Tensor, c2w: F64, wanted: tuple[str, ...]) -> Prediction | None:
        """The prediction for a view (3, H, W); None, with the state unchanged, if the view would
        make the state NaN."""
        self.seen += 1
        net = self.network.net
        features = net.encode(image[None].to(self.network.device))
        try:
            self.state, prediction = net.step(self.state, features, wanted)
        except NotFiniteStateError:
            return None
        if self.origin is None:
            self.origin = c2w
        return prediction

    def kept(self) -> KeptState:
        """The state on the CPU, with what it belongs to."""
        return KeptState(self.state.to("cpu"), self.seen, self.origin, self.stamp)


def _as_predicted(said: list[Prediction | None], crop: Crop, origin: F64 | None) -> Predicted:
    """Predictions as arrays; views without one are NaN."""
    maps = np.full((len(said), *crop.hw, 3), np.nan, np.float32)
    own, world, confidence = maps, maps.copy(), maps[..., 0].copy()
    for i, prediction in enumerate(said):
        if prediction is not None:
            mine = crop_maps(prediction, crop)
            own[i], confidence[i] = mine.points[0], mine.confidence[0]
            world[i] = crop_maps(prediction, crop, "world").points[0]
    (h, w), (left, top, right, bottom) = crop.frame_hw, crop.frame_box
    window = (max(left / w, 0), max(top / h, 0), min(right / w, 1), min(bottom / h, 1))
    return Predicted(own, confidence, window, points_world=world, origin=origin)
