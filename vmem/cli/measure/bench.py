"""What sections measure with: the device, sizes, clocks and memory counters."""

from __future__ import annotations

import contextlib
import gc
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar, cast

import torch

from vmem.arrays import U8
from vmem.cli.measure.record import Plain, Row
from vmem.cli.measure.runner import Limit, TimeUp, error_text
from vmem.devices.devices import ROOM
from vmem.devices.memory_presets import GIB
from vmem.devices.recovery import DeviceLostError, free_unused, is_device_lost
from vmem.devices.settings import NetworkSettings
from vmem.progress import Progress

Result = TypeVar("Result")

TINY_SIZE = 64
"""Side of a rehearsal's frames, in pixels."""
PEAKS = "peak GiB", "reserved GiB"
"""What `Bench.peaks` counts."""


@dataclass(frozen=True)
class Bench:
    """One device, for one section."""

    device: torch.device
    """Where everything runs."""
    tiny: bool
    """A rehearsal with tiny networks and frames."""
    folder: Path
    """For files of this run, which removes them."""
    limit: Limit
    """When the section has to end."""

    @property
    def on_cuda(self) -> bool:
        """Whether the device has memory of its own, whose use torch counts."""
        return self.device.type == "cuda"

    @property
    def size(self) -> int:
        """Side of the frames in pixels."""
        return TINY_SIZE if self.tiny else NetworkSettings.size

    def settings(self, **changes: Any) -> NetworkSettings:
        """Settings of the networks: the device, the fewest evaluations a step, and ``changes``."""
        device = "mps" if self.device.type == "mps" else str(self.device)
        fixed = {"preset": "fast", "device": device, "size": self.size}
        return NetworkSettings(**fixed | changes)

    @cached_property
    def photo(self) -> U8:
        """(size, size, 3): the first photo that comes with the program."""
        from vmem.formats.photos import load_photo, samples

        path = next(sample.path for sample in samples() if sample.kind == "photo")
        return load_photo(path, self.size).rgb

    # --- time and memory -------------------------------------------------------------------

    def wait(self) -> None:
        """Until the device has done what it was given."""
        if self.on_cuda:
            torch.cuda.synchronize(self.device)
        elif self.device.type == "mps":
            torch.mps.synchronize()

    def held(self) -> float:
        """GiB of tensors on the device; 0 where torch does not count them."""
        return torch.cuda.memory_allocated(self.device) / GIB if self.on_cuda else 0.0

    def peaks(self) -> dict[str, Plain]:
        """Most GiB of tensors, and of torch's cache, since it was last asked; None uncounted."""
        self.wait()
        if not self.on_cuda:
            return dict.fromkeys(PEAKS)
        most = torch.cuda.max_memory_allocated, torch.cuda.max_memory_reserved
        found = {name: peak(self.device) / GIB for name, peak in zip(PEAKS, most, strict=True)}
        torch.cuda.reset_peak_memory_stats(self.device)
        return {**found}

    def milliseconds(self, call: Callable[[], object], rounds: int = 3) -> float:
        """Of one call, on average after a first that is not counted. May raise TimeUp."""
        call()
        self.wait()
        begin, done = time.perf_counter(), 0
        while done < (1 if self.tiny else rounds):
            self.limit.check()
            call()
            self.wait()
            done += 1
        return 1e3 * (time.perf_counter() - begin) / done

    def forget(self) -> None:
        """Unload all networks, and let ``auto`` decide anew."""
        from vmem.generation.diffusion import networks
        from vmem.geometry.cut3r import loading

        networks.SHARED.unload()
        loading.SHARED.unload()
        ROOM.forget()
        gc.collect()
        free_unused(self.device)
        self.peaks()

    def attempt(self, name: str, measure: Callable[[], Mapping[str, Plain]]) -> Row:
        """A row of what ``measure`` returns, or of its error. Raises as `tried` does."""
        found = self.tried(measure)
        return Row(name, {"error": found.error} if isinstance(found, Failure) else found)

    def tried(self, call: Callable[[], Result]) -> Result | Failure:
        """What ``call`` returns, or why it does not; the memory of its tensors is free then.

        Raises TimeUp, and the errors after which the device answers no more.
        """
        try:
            return call()
        except TimeUp:
            raise
        except Exception as error:
            if is_lost(error):
                raise
            failure = Failure(error_text(error))
        # Outside the handler, where the traceback holds no tensors any more.
        gc.collect()
        free_unused(self.device)
        return failure


@dataclass(frozen=True)
class Failure:
    """Why there is no result."""

    error: str
    """Kind and words of the error."""


def is_lost(error: Exception) -> bool:
    """Whether the device answers this process no more after an error."""
    return isinstance(error, DeviceLostError) or is_device_lost(error)


class Stages:
    """A listener of a step: seconds and peaks of memory of each stage of its progress."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._stage = ""
        self._begin = 0.0
        self._found: dict[str, dict[str, Plain]] = {}

    def __call__(self, progress: Progress) -> None:
        """Take one report. Raises TimeUp."""
        self._bench.limit.check()
        if progress.stage != self._stage:
            self.close()
            self._stage = progress.stage

    def close(self) -> dict[str, dict[str, Plain]]:
        """End the last stage; all stages in their order, one that came twice summed up."""
        peaks = self._bench.peaks()
        if self._stage:
            before = self._found.get(self._stage, {"s": 0.0})
            seconds = cast(float, before["s"]) + time.perf_counter() - self._begin
            most = {name: highest((peak, before.get(name))) for name, peak in peaks.items()}
            self._found[self._stage] = {"s": seconds, **most}
        self._stage, self._begin = "", time.perf_counter()
        return self._found


def highest(values: Iterable[Plain]) -> float | None:
    """The greatest of the numbers among ``values``; None if there are none."""
    return max((v for v in values if isinstance(v, int | float)), default=None)


@contextlib.contextmanager
def flag(owner: Any, name: str, value: object) -> Iterator[None]:
    """An attribute of ``owner``, such as a switch of torch's, set within the block alone."""
    before = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, before)
