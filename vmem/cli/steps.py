"""The steps of ``vmem walk``, written to its folder as they are made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tqdm import tqdm

from vmem.errors import VMemError
from vmem.formats.files import ExportError
from vmem.formats.walk_folder import WalkFolder, steps_to
from vmem.memory import MemorySnapshot
from vmem.session import Session, StepRefused

QUICK_VIDEO = 20_000_000
"""Pixels in all that are encoded in three seconds or so: whoever ends a walk waits no longer."""


class WalkStopped(VMemError):
    """A walk that ended early; the message says why, and which steps are written."""


@dataclass(frozen=True)
class Made:
    """The steps that were made, and what ended them early."""

    refused: tuple[str, ...]
    """Moves that were refused, each with the reason."""
    notes: tuple[str, ...]
    """What the geometry said of each step, from the photo on."""
    at: str
    """The step that was being made last."""
    stopped: BaseException | None
    """What ended the walk before its last move, if anything did: an error or Ctrl-C."""


def make_steps(session: Session, words: Sequence[str], folder: WalkFolder, name: str) -> Made:
    """Make one step a word, and write each when it is committed."""
    refused: list[str] = []
    notes = [session.history.head.record.note]
    at, stopped = "the photo", None
    try:
        folder.add(session.memory)
        for word in tqdm(words, desc=f"walking ({name})", unit="step", disable=None):
            at = f"step {len(notes)} ({word})"
            try:
                notes.append(session.move(word).record.note)
            except StepRefused as error:
                refused.append(f"{word}: {error}")
            else:
                folder.add(session.memory)
    except (Exception, KeyboardInterrupt) as error:
        stopped = error
    return Made(tuple(refused), tuple(notes), at, stopped)


def write_rest(folder: WalkFolder, memory: MemorySnapshot, made: Made, n_moves: int) -> str:
    """Write what describes the steps; what could not be written, in words, "" if all is.

    Raises, with words about the steps that are written: KeyboardInterrupt for a walk that was
    interrupted, or is now; WalkStopped for one that failed for a reason its user can mend; any
    other error that ended it as it was, with a note.
    """
    interrupted = isinstance(made.stopped, KeyboardInterrupt)
    with_video = not interrupted or n_pixels(memory) <= QUICK_VIDEO
    try:
        told, failed = _finished(folder, memory, n_moves, with_video)
    except KeyboardInterrupt:
        if interrupted:  # twice: at once
            raise KeyboardInterrupt(
                f"at once, while writing; the frames of the steps made are in {folder.directory}"
            ) from None
        told, _ = _finished(folder, memory, n_moves, with_video=False)
        raise KeyboardInterrupt(told) from None
    if made.stopped is None:
        return failed
    if interrupted:
        raise KeyboardInterrupt(told) from made.stopped
    if isinstance(made.stopped, ExportError):
        # Of the disk, which writing the rest may have met once more.
        raise WalkStopped(told if failed else f"{made.stopped}; {told}") from made.stopped
    if isinstance(made.stopped, VMemError):
        raise WalkStopped(f"{made.at}: {made.stopped}; {told}") from made.stopped
    made.stopped.add_note(f"{made.at} failed; {told}")
    raise made.stopped


def n_pixels(memory: MemorySnapshot) -> int:
    """Number of pixels of all frames."""
    h, w = memory.views[0].camera.hw
    return len(memory.views) * h * w


def _finished(
    folder: WalkFolder, memory: MemorySnapshot, n_moves: int, with_video: bool
) -> tuple[str, str]:
    """Finish the folder; what is written, and what could not be, in words."""
    try:
        last = folder.finish(memory, with_video=with_video)
    except ExportError as error:
        return str(error), str(error)
    told = f"written to {folder.directory}: {steps_to(last)} of {n_moves}"
    if with_video:
        return told, ""
    return "; ".join([f"{told}, without the video", *folder.kept()]), ""
