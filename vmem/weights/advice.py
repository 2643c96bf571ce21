"""What can go wrong with weights, each as one paragraph: what, where to look, what to run."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from vmem.errors import VMemError
from vmem.weights.catalogue import HUB, Source, command_for

TOKENS = f"{HUB}/settings/tokens"
NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class CheckpointError(VMemError):
    """Weights that cannot be had or read. The message is the reason and what to do about it."""

    reason: str
    """The cause alone: a clause to list beside others."""
    kind: str
    """"gated", "login", "missing", "network", "disk", "damaged", "refused" or "wrong"."""

    def __init__(self, reason: str, remedy: str = "", *, kind: str = "wrong") -> None:
        super().__init__(f"{reason}: {remedy}" if remedy else reason)
        self.reason = reason
        self.kind = kind


def gigabytes(count: float) -> str:
    """A number of bytes for people."""
    return f"{count / 1e9:.2f} GB" if count >= 1e8 else f"{count / 1e6:.2f} MB"


def no_room(folder: Path, needed: int | None, variable: str) -> CheckpointError:
    """The disk is full, or too small for ``needed`` more bytes."""
    what = "the disk is full" if needed is None else f"{gigabytes(needed)} more do not fit"
    return CheckpointError(
        f"{what} in {folder}",
        f"make room there, or let {variable} name a folder on a larger disk, then run the command "
        "again",
        kind="disk",
    )


def cannot_write(folder: Path, error: OSError, variable: str) -> CheckpointError:
    """An OSError on our own files: no room, no permission, or as the system words it."""
    if error.errno in NO_ROOM:
        return no_room(folder, None, variable)
    return CheckpointError(
        f"cannot write in {folder} ({error.strerror or error})",
        f"allow it, or let {variable} name a folder you can write in, then run the command again",
        kind="disk",
    )


def offline(source: Source) -> CheckpointError:
    """Not in the cache while HF_HUB_OFFLINE forbids looking further."""
    return CheckpointError(
        f"{source.path} of {source.repo} is not in the cache, and HF_HUB_OFFLINE is set",
        f"unset HF_HUB_OFFLINE and run `{command_for(source)}`, or download it on another machine "
        f"from {source.files_page} and copy its cache folder (HF_HOME)",
        kind="network",
    )


def damaged(path: Path | str, how: str, again: str) -> CheckpointError:
    """A file that is not whole. ``again``: how to get a whole one."""
    return CheckpointError(f"{path} is damaged ({how})", again, kind="damaged")


def explain(error: Exception, source: Source, cache: Path) -> CheckpointError:
    """Turn what huggingface_hub raises into advice."""
    from huggingface_hub import errors

    again = f"run `{command_for(source)}`"
    named = f"{source.path} of {source.repo}"
    if isinstance(error, errors.OfflineModeIsEnabled):
        return offline(source)
    if isinstance(error, errors.GatedRepoError):
        return _gated(source, again)
    if isinstance(error, errors.RevisionNotFoundError):
        return CheckpointError(
            f"{source.repo} has no revision {source.revision!r}",
            f"see {source.page}/commits/main for those it has; a newer version of this program "
            "may know them",
            kind="missing",
        )
    if isinstance(error, errors.EntryNotFoundError) and isinstance(error, errors.HfHubHTTPError):
        return CheckpointError(
            f"{source.repo} has no file {source.path}",
            f"see {source.files_page} for what it has; it was renamed or removed, and a newer "
            "version of this program may know its new name",
            kind="missing",
        )
    if isinstance(error, errors.HfHubHTTPError):
        return _refused(error, source, again)
    if isinstance(error, errors.FileMetadataError):
        return CheckpointError(
            f"{_endpoint()} does not answer as the hub does",
            f"check HF_ENDPOINT, proxy and firewall, open {source.page} in a browser, then {again}",
            kind="network",
        )
    if isinstance(error, OSError) and error.errno and not isinstance(error, ConnectionError):
        # The HTTP client wraps what the system says of the network: this is about a file.
        return cannot_write(cache, error, "HF_HOME")
    return CheckpointError(
        f"{named} did not come through from {_endpoint()} ({_short(error)})",
        f"check the network and proxy, open {source.page} in a browser, then {again}; what has "
        "arrived is kept and the download goes on from there",
        kind="network",
    )


def _endpoint() -> str:
    from huggingface_hub import constants

    return constants.ENDPOINT


def _short(error: Exception) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:160]}" if text else type(error).__name__


def _login(again: str) -> str:
    return f"make a token at {TOKENS}, run `hf auth login` (or set HF_TOKEN), then {again}"


def _has_token() -> bool:
    from huggingface_hub import get_token

    return bool(get_token())


def gate(source: Source) -> str:
    """What to do before the first download of a gated file, as one clause; "" for other files.

    Reads the saved token, and never uses the network: whether the account has access already is not
    known here.
    """
    if not source.gated:
        return ""
    open_page = f"open {source.page}, log in and accept the conditions"
    if _has_token():
        return f"if this account has no access yet, {open_page}"
    return f"{open_page}, make a token at {TOKENS} and run `hf auth login` (or set HF_TOKEN)"


def _gated(source: Source, again: str) -> CheckpointError:
    then = f"then {again}" if _has_token() else _login(again)
    return CheckpointError(
        f"the owner of {source.repo} gives access on request, and this account has none yet",
        f"open {source.page}, log in and accept the conditions; {then}",
        kind="gated",
    )


def _refused(error: OSError, source: Source, again: str) -> CheckpointError:
    """By the status alone: the hub says 401 for what is private, gated, or not there at all."""
    status = getattr(getattr(error, "response", None), "status_code", 0)
    if status == 401 and _has_token():
        return CheckpointError(
            f"the hub does not accept the token for {source.repo} (401)",
            f"it has expired, is mistyped (HF_TOKEN goes before the saved one), or may not read "
            f"{source.page}: {_login(again)}",
            kind="login",
        )
    if status == 401:
        return CheckpointError(
            f"the hub shows {source.repo} only after a login, or it is not there (401)",
            f"open {source.page} to see which; {_login(again)}",
            kind="login",
        )
    if status == 404:
        return CheckpointError(
            f"{_endpoint()} has no repository {source.repo}, or hides it from this account",
            f"open {source.page}; if it has moved, download {source.path} by hand and name it by "
            "the environment variable that `python -m vmem weights status` shows",
            kind="missing",
        )
    if status == 403:
        return CheckpointError(
            f"this account or token may not read {source.repo} (403)",
            f"open {source.page} and check the conditions; {_login(again)}",
            kind="gated",
        )
    return CheckpointError(
        f"{_endpoint()} answered {status or 'with an error'} for {source.path} of {source.repo}",
        f"the hub is busy or out of order (https://status.huggingface.co): wait a little, then "
        f"{again}; what has arrived is kept",
        kind="network",
    )


def local_variable(name: str) -> str | None:
    """The value of an environment variable, None where it is unset or blank."""
    value = os.environ.get(name, "").strip()
    return value or None
