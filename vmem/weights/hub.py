"""Files from the Hugging Face hub: from its cache, or by a download that can stop and go on.

The library's own download (``hf_hub_download`` of 2.4) writes to a file with a name of its own and
removes it when it fails or is stopped, and it cannot be cancelled. So the bytes are fetched here,
by the library's HTTP session (proxies, token, offline switch and endpoint are the library's), into
the cache's own folder under a name that stays; the library then links a complete and checked file
as if it had downloaded it.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, cast

from vmem.progress import CancelToken, OnProgress, Progress, silent
from vmem.weights.advice import CheckpointError, damaged, explain, no_room, offline
from vmem.weights.catalogue import Source, command_for

if TYPE_CHECKING:
    from huggingface_hub import HfFileMetadata

CHUNK = 1 << 20
"""Bytes between two looks at the cancel token."""
RETRIES = 4
"""Attempts in a row that bring nothing before a download fails."""
PART = ".vmem-part"
"""Suffix of a partial file's name."""


def find(source: Source) -> Path | None:
    """The file in the hub's cache, or None. Never uses the network.

    Without a revision it is the commit that ``main`` meant when it was downloaded.
    """
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(source.repo, source.path, revision=source.revision)
    return Path(found) if isinstance(found, str) else None


def arrived(source: Source) -> int:
    """Bytes of unfinished downloads in the cache folder of a file's repository."""
    return sum(part.stat().st_size for part in _blobs(source).glob(f"*{PART}"))


def fetch(
    source: Source, *, on_progress: OnProgress = silent, cancel: CancelToken | None = None
) -> Path:
    """The file's path, downloaded into the hub's cache (HF_HOME) unless it is there already.

    Progress is in bytes. A cancel is noticed between chunks of a MiB, or when a silent connection
    times out (10 s); it raises Cancelled and keeps what has arrived. Raises CheckpointError.
    """
    from huggingface_hub import constants

    found = find(source)
    if found is not None:
        return found
    if constants.HF_HUB_OFFLINE:
        raise offline(source)
    try:
        return _download(source, on_progress, cancel or CancelToken())
    except (_transport_error(), OSError) as error:
        raise explain(error, source, Path(constants.HF_HUB_CACHE)) from error


def _transport_error() -> type[Exception]:
    """The base of all that the library's HTTP client raises; which client it is, is its affair."""
    from huggingface_hub.errors import HfHubHTTPError

    return cast(type[Exception], HfHubHTTPError.__bases__[0])


def _blobs(source: Source) -> Path:
    from huggingface_hub import constants
    from huggingface_hub.file_download import repo_folder_name

    folder = repo_folder_name(repo_id=source.repo, repo_type="model")
    return Path(constants.HF_HUB_CACHE) / folder / "blobs"


def _download(source: Source, on_progress: OnProgress, cancel: CancelToken) -> Path:
    from huggingface_hub import constants, get_hf_file_metadata, hf_hub_download, hf_hub_url

    url = hf_hub_url(source.repo, source.path, revision=source.revision)
    known = get_hf_file_metadata(url, timeout=constants.HF_HUB_ETAG_TIMEOUT)
    etag = _etag(known, source)
    blobs = _blobs(source)
    blobs.mkdir(parents=True, exist_ok=True)
    with _alone(blobs / f"{etag}{PART}.lock", cancel, on_progress):
        if not (blobs / etag).exists():
            part = blobs / f"{etag}{PART}"
            # By commit: what is resumed must be the file that was begun.
            fixed = hf_hub_url(source.repo, source.path, revision=known.commit_hash)
            _receive(fixed, part, known.size, source, on_progress, cancel)
            _check(part, etag, source, on_progress, cancel)
            os.replace(part, blobs / etag)
        linked = hf_hub_download(source.repo, source.path, revision=source.revision)
    return Path(linked)


def _etag(known: HfFileMetadata, source: Source) -> str:
    """The hub's name for the content; for large files it is their SHA-256."""
    from huggingface_hub.errors import FileMetadataError

    etag = known.etag or ""
    if known.commit_hash is None or not re.fullmatch(r"[0-9A-Za-z][0-9A-Za-z._-]*", etag):
        raise FileMetadataError("no commit or no usable etag in the answer")
    if source.sha256 is not None and re.fullmatch("[0-9a-f]{64}", etag) and etag != source.sha256:
        raise CheckpointError(
            f"{source.path} of {source.repo} is not the file this program was made for",
            f"see {source.files_page}; a newer version of this program may know it",
        )
    return etag


@contextmanager
def _alone(path: Path, cancel: CancelToken, on_progress: OnProgress) -> Iterator[None]:
    """Hold a lock file, so that two programs never write one partial file."""
    from filelock import FileLock, Timeout

    lock = FileLock(path)
    while True:
        cancel.check()
        try:
            lock.acquire(timeout=0.2)
        except Timeout:
            on_progress(Progress("waiting for another download", 0, 1))
        else:
            break
    try:
        yield
    finally:
        lock.release()


def _receive(
    url: str,
    part: Path,
    size: int | None,
    source: Source,
    on_progress: OnProgress,
    cancel: CancelToken,
) -> None:
    """Append to the partial file until it is complete; lost connections are taken up again."""
    from huggingface_hub.errors import HfHubHTTPError

    idle = 0
    while (begin := _size(part)) != size or not part.exists():
        cancel.check()
        if size is not None and shutil.disk_usage(part.parent).free < size - begin:
            raise no_room(part.parent, size - begin, "HF_HOME")
        lost: Exception | None = None
        try:
            _append(url, part, begin, size, f"downloading {source.filename}", on_progress, cancel)
            if size is None:
                return
        except HfHubHTTPError as error:
            if error.response.status_code != 416:  # nothing is left to send from there on
                raise
            part.unlink()
        except _transport_error() as error:
            lost = error
        if size is not None and _size(part) > size:
            part.unlink()
        idle = 0 if _size(part) > begin else idle + 1
        if idle > RETRIES:
            raise lost or ConnectionError("the connection closes before the file is complete")
        end = time.monotonic() + (0.25 * 2**idle if lost else 0)
        while time.monotonic() < end:
            cancel.check()
            time.sleep(0.05)


def _size(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0


def _append(
    url: str,
    part: Path,
    begin: int,
    size: int | None,
    stage: str,
    on_progress: OnProgress,
    cancel: CancelToken,
) -> None:
    """Read one answer of the server, from byte ``begin`` on where it knows how, into the file."""
    from huggingface_hub import constants, get_session
    from huggingface_hub.utils import build_hf_headers, hf_raise_for_status

    headers = build_hf_headers() | {"Accept-Encoding": "identity"}
    if begin:
        headers["Range"] = f"bytes={begin}-"
    timeout = constants.HF_HUB_DOWNLOAD_TIMEOUT
    # The client drops the token when it is sent on to another host.
    stream = get_session().stream(
        "GET", url, headers=headers, timeout=timeout, follow_redirects=True
    )
    with stream as response:
        hf_raise_for_status(response)
        done = begin if response.status_code == 206 else 0
        on_progress(Progress(stage, done, size or done))
        with part.open("ab" if done else "wb") as file:
            for chunk in response.iter_bytes(CHUNK):
                cancel.check()
                file.write(chunk)
                done += len(chunk)
                on_progress(Progress(stage, done, size or done))


def _check(
    part: Path, etag: str, source: Source, on_progress: OnProgress, cancel: CancelToken
) -> None:
    """Compare the content's SHA-256 where it is known; what differs is thrown away."""
    expected = etag if re.fullmatch("[0-9a-f]{64}", etag) else source.sha256
    if expected is None:
        return
    digest, done, total = hashlib.sha256(), 0, part.stat().st_size
    with part.open("rb") as file:
        while chunk := file.read(8 * CHUNK):
            cancel.check()
            digest.update(chunk)
            done += len(chunk)
            on_progress(Progress(f"checking {source.filename}", done, total))
    if digest.hexdigest() != expected:
        part.unlink()
        raise damaged(
            f"{source.path} of {source.repo}",
            "what arrived is not what the hub announced; it was removed",
            f"run `{command_for(source)}` again; if it happens twice, a proxy changes downloads: "
            f"get it from {source.files_page} in a browser",
        )
