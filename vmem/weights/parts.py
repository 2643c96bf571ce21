"""The parts of the released model: where their files are, how to get them, what is missing."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path

from vmem.progress import CancelToken, OnProgress, silent
from vmem.weights import hub
from vmem.weights.advice import CheckpointError, gate, gigabytes, local_variable
from vmem.weights.catalogue import PARTS, Layout, Part
from vmem.weights.loading import converted
from vmem.weights.mapped import stored_precision

Files = tuple[Path, ...]
"""Files of one layout, the weights first; a local weights file may come without the others."""


def find_part(part: Part, local: str | Path | None = None) -> Files | None:
    """The part's files on this machine, or None. Never uses the network.

    ``local`` (else the part's environment variable) names a weights file, a folder that holds the
    files of a layout or their subfolder, or a hub repository to use in place of the usual ones.
    Raises CheckpointError where it names nothing.
    """
    named = _named(part, local)
    if isinstance(named, tuple):
        return named
    return next((files for layout in _layouts(part, named) if (files := _cached(layout))), None)


def fetch_part(
    part: Part,
    local: str | Path | None = None,
    *,
    on_progress: OnProgress = silent,
    cancel: CancelToken | None = None,
) -> Files:
    """The part's files, downloaded if they are missing; ``local`` is as for `find_part`.

    Layouts are tried in turn: after one that is not there, or not for this account, the next; any
    other failure ends the search. Raises CheckpointError naming all that were tried, and Cancelled.
    """
    found = find_part(part, local)
    if found is not None:
        return found
    named = _named(part, local)
    assert not isinstance(named, tuple)
    failures: list[CheckpointError] = []
    for layout in _layouts(part, named):
        try:
            return tuple(
                hub.fetch(source, on_progress=on_progress, cancel=cancel)
                for source in reversed(layout)  # the small file first: it fails sooner
            )[::-1]
        except CheckpointError as error:
            if error.kind not in {"missing", "gated", "login"}:
                raise
            failures.append(error)
    if len(failures) == 1:
        raise failures[0]
    raise CheckpointError(
        f"{part.title} is at none of the places tried: "
        + "; ".join(dict.fromkeys(failure.reason for failure in failures)),
        f"get a copy by hand and set {part.variable} to its file, its folder or its hub repository "
        f"(owner/name), or log in with `hf auth login`, then run `{part.command}`; "
        f"see {part.layouts[0][0].page}",
        kind=failures[-1].kind,
    )


def _named(part: Part, local: str | Path | None) -> Files | str | None:
    """Local files, or a hub repository, or None where nothing is named."""
    value = str(local) if local is not None else local_variable(part.variable)
    if value is None:
        return None
    place = Path(value).expanduser()
    if place.is_file():
        config = place.with_name("config.json")
        return (place, config) if config.is_file() else (place,)
    if place.is_dir():
        for layout in part.layouts:
            for folder in (place, place / layout[0].subfolder):
                files = tuple(folder / source.filename for source in layout)
                if all(file.is_file() for file in files):
                    return files
        wanted = " or ".join(dict.fromkeys(layout[0].path for layout in part.layouts))
        raise CheckpointError(
            f"the folder {place} holds no weights of {part.title}",
            f"it should hold {wanted}; set {part.variable} to another folder, or unset it and run "
            f"`{part.command}`",
            kind="missing",
        )
    if re.fullmatch(r"[\w-][\w.-]*/[\w-][\w.-]*", value):
        return value
    raise CheckpointError(
        f"{value} (from {part.variable}) is no file, folder or hub repository",
        f"correct it, or unset {part.variable} and run `{part.command}`",
        kind="missing",
    )


def _layouts(part: Part, repo: str | None) -> tuple[Layout, ...]:
    if repo is None:
        return part.layouts
    own = (
        tuple(
            replace(source, repo=repo, revision=None, sha256=None, gated=False) for source in layout
        )
        for layout in part.layouts
    )
    return tuple(dict.fromkeys(own))


def _cached(layout: Layout) -> Files | None:
    paths = [hub.find(source) for source in layout]
    files = tuple(path for path in paths if path is not None)
    return files if len(files) == len(layout) else None


@dataclass(frozen=True)
class WeightStatus:
    """What this machine has of a part, and what to do about what it has not."""

    part: str
    """The part's name."""
    title: str
    """What the part is, for people."""
    parameters: int
    """How many numbers the network has."""
    files: Files
    """Its files, empty where they are missing."""
    size: int
    """Bytes of these files."""
    converted: Files
    """Their conversions to safetensors."""
    arrived: int
    """Bytes of an unfinished download."""
    page: str
    """The repository's page."""
    command: str
    """The command that downloads the part."""
    variable: str
    """The environment variable that names a local copy."""
    problem: str = ""
    """What is wrong with a local copy that was named, else ""."""
    stored: str = ""
    """Precision of the numbers in the file: "float32"; "" until a torch file has been converted."""
    gate: str = ""
    """What to do before the hub lets this account download it, "" where it lets everybody."""

    @property
    def present(self) -> bool:
        """Whether the part can be loaded without a download."""
        return bool(self.files)

    @property
    def row(self) -> str:
        """One line for people."""
        if self.problem:
            return f"problem  {self.part}: {self.problem}"
        if self.present:
            more = f", {self.stored} on disk" if self.stored else ""
            more += ", converted" if self.converted else ""
            return f"ok       {self.part}: {gigabytes(self.size)}{more}, {self.files[0]}"
        begun = f" ({gigabytes(self.arrived)} have arrived)" if self.arrived else ""
        where = f"{self.gate}, then " if self.gate else ""
        page = "" if self.gate else f"; {self.page}"
        return (
            f"missing  {self.part}: {self.title}, {self.parameters / 1e6:.0f} M parameters{begun}: "
            f"{where}run `{self.command}`, or set {self.variable} to a copy{page}"
        )


def status(part: Part) -> WeightStatus:
    """The status of one part. Never uses the network, and raises nothing."""
    problem = ""
    try:
        files = find_part(part) or ()
    except CheckpointError as error:
        files, problem = (), str(error)
    repos = {layout[0].repo: layout[0] for layout in reversed(part.layouts)}
    made = tuple(converted(files[0])) if files else ()
    named = local_variable(part.variable)
    return WeightStatus(
        part=part.name,
        title=part.title,
        parameters=part.parameters,
        files=files,
        size=sum(file.stat().st_size for file in files),
        converted=made,
        arrived=sum(map(hub.arrived, repos.values())),
        page=part.layouts[0][0].page,
        command=part.command,
        variable=part.variable,
        problem=problem,
        stored=next(filter(None, map(stored_precision, (*made, *files[:1]))), ""),
        gate="" if files or named else gate(part.layouts[0][0]),
    )


def all_status() -> list[WeightStatus]:
    """The status of every part, in the order of the catalogue."""
    return [status(part) for part in PARTS.values()]
