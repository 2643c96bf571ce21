"""Downloads by the real library from a hub on this machine, and every way in which they fail."""

from __future__ import annotations

import collections
import contextlib
import hashlib
import json
import os
import resource
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.fake_hub import FakeHub
from vmem.progress import Cancelled, CancelToken, Progress
from vmem.weights import CheckpointError, Source, fetch, find
from vmem.weights import hub as downloads

MIB = 1 << 20
BIG = Source("owner/big", "weights.pth")
SMALL = Source("owner/big", "config.json", subfolder="vae")
CONTENT = hashlib.shake_256(b"weights").digest(5 * MIB + 17)
CONFIG = b'{"a": 1}'


@pytest.fixture
def hub(hub: FakeHub) -> FakeHub:
    """A hub with one large and one small file."""
    hub.files |= {(BIG.repo, BIG.path): CONTENT, (SMALL.repo, SMALL.path): CONFIG}
    hub.small.add((SMALL.repo, SMALL.path))
    return hub


@pytest.fixture
def cache(tmp_path) -> Path:
    return tmp_path / "hub"


def leftovers(cache: Path) -> list[Path]:
    return list(cache.rglob(f"*{downloads.PART}"))


def refusal(source: Source = BIG, **options) -> CheckpointError:
    """The error of a fetch, checked to be one paragraph."""
    with pytest.raises(CheckpointError) as caught:
        fetch(source, **options)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 700
    return caught.value


def stop_at(done: int) -> tuple[CancelToken, Callable[[Progress], None]]:
    """A token, and a listener that sets it once ``done`` bytes have come."""
    token = CancelToken()

    def listen(progress: Progress) -> None:
        if progress.done >= done:
            token.cancel()

    return token, listen


def test_a_download_with_progress_in_bytes(hub):
    seen: list[Progress] = []
    assert find(BIG) is None
    path = fetch(BIG, on_progress=seen.append)
    assert path.read_bytes() == CONTENT
    came = [progress.done for progress in seen if progress.stage == "downloading weights.pth"]
    assert came == sorted(came)
    assert (came[0], came[-1], len(came)) == (0, len(CONTENT), 7)
    assert {progress.total for progress in seen} == {len(CONTENT)}
    assert "checking weights.pth" in {progress.stage for progress in seen}


def test_the_library_sees_our_download_as_its_own(hub, cache):
    from huggingface_hub import hf_hub_download

    path = fetch(BIG)
    assert hf_hub_download(BIG.repo, BIG.filename, local_files_only=True) == str(path)
    assert cache in path.parents
    assert leftovers(cache) == []


def test_what_is_in_the_cache_needs_no_network(hub):
    path = fetch(BIG)
    asked = len(hub.requests)
    assert fetch(BIG) == find(BIG) == path
    assert len(hub.requests) == asked


def test_small_files_in_subfolders(hub):
    assert fetch(SMALL).read_bytes() == CONFIG
    assert find(SMALL) == fetch(SMALL)


def test_the_token_goes_to_the_hub_and_no_further(hub, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    fetch(BIG)
    tokens = {(request.place, request.token) for request in hub.requests}
    assert tokens == {("hub", "Bearer hf_secret"), ("cdn", None)}


def test_cancel_keeps_what_has_arrived_and_the_next_call_goes_on(hub, cache):
    token, listen = stop_at(2 * MIB)
    with pytest.raises(Cancelled):
        fetch(BIG, on_progress=listen, cancel=token)
    (part,) = leftovers(cache)
    arrived = part.stat().st_size
    assert 2 * MIB <= arrived < len(CONTENT)
    assert downloads.arrived(BIG) == arrived
    assert find(BIG) is None
    assert fetch(BIG).read_bytes() == CONTENT
    assert hub.downloads()[-1].start == arrived
    assert leftovers(cache) == []


def test_a_cancelled_token_starts_nothing(hub):
    token = CancelToken()
    token.cancel()
    with pytest.raises(Cancelled):
        fetch(BIG, cancel=token)
    assert hub.downloads() == []


def test_lost_connections_are_taken_up_again(hub):
    hub.lose_after = [MIB, 2 * MIB, MIB // 2]
    assert fetch(BIG).read_bytes() == CONTENT
    starts = [request.start for request in hub.downloads() if request.place == "cdn"]
    assert starts[0] is None
    assert starts[1:] == sorted(starts[1:])
    assert len(starts) == 4


def test_a_server_without_ranges_sends_it_all_again(hub):
    hub.accept_ranges = False
    hub.lose_after = [MIB]
    assert fetch(BIG).read_bytes() == CONTENT


def test_a_file_of_unannounced_size(hub):
    hub.announce_size = False
    assert fetch(BIG).read_bytes() == CONTENT


def test_a_partial_file_longer_than_the_file_is_begun_again(hub, cache):
    blobs = cache / "models--owner--big" / "blobs"
    blobs.mkdir(parents=True)
    (blobs / (hashlib.sha256(CONTENT).hexdigest() + downloads.PART)).write_bytes(CONTENT + b"more")
    assert fetch(BIG).read_bytes() == CONTENT


def test_giving_up_keeps_what_has_arrived(hub, cache):
    hub.lose_after = [MIB, 0, 0, 0, 0]
    error = refusal()
    assert error.kind == "network"
    assert "what has arrived is kept" in str(error)
    assert leftovers(cache)[0].stat().st_size == MIB
    hub.lose_after = []
    assert fetch(BIG).read_bytes() == CONTENT
    assert hub.downloads()[-1].start == MIB


@pytest.mark.parametrize("instead", [CONTENT[:-1] + b"!", b"<html>" * (len(CONTENT) // 6 + 1)])
def test_content_that_was_not_announced_is_thrown_away(hub, cache, instead):
    hub.served_instead = instead
    error = refusal()
    assert error.kind in {"damaged", "network"}
    assert find(BIG) is None
    assert leftovers(cache) == []
    hub.served_instead = None
    assert fetch(BIG).read_bytes() == CONTENT


def test_a_pinned_digest(hub):
    right = replace(BIG, sha256=hashlib.sha256(CONTENT).hexdigest())
    wrong = replace(BIG, sha256="0" * 64)
    assert refusal(wrong).kind == "wrong"
    assert hub.downloads() == []
    assert fetch(right).read_bytes() == CONTENT


def test_a_pinned_revision(hub):
    hub.tags["v1"] = "abad1dea" + "0" * 32
    pinned = replace(BIG, revision="v1")
    path = fetch(pinned)
    assert hub.tags["v1"] in path.parts
    assert find(pinned) == path
    assert find(BIG) is None


def test_main_stays_what_it_was(hub):
    path = fetch(BIG)
    hub.commit = "beef" + "0" * 36
    hub.files[BIG.repo, BIG.path] = b"newer" * 1000
    assert fetch(BIG) == path
    assert path.read_bytes() == CONTENT


def test_two_at_once_download_once(hub):
    paths: list[Path] = []
    threads = [threading.Thread(target=lambda: paths.append(fetch(BIG))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [path.read_bytes() == CONTENT for path in paths] == [True] * 3
    assert len([request for request in hub.downloads() if request.place == "cdn"]) == 1


def test_a_hostile_etag_writes_nowhere_else(hub, cache, tmp_path):
    hub.etag = "../../../escaped"
    assert refusal().kind == "network"
    assert not list(tmp_path.rglob("*escaped*"))


LOGIN = ["huggingface.co/settings/tokens", "hf auth login", "HF_TOKEN"]
PAGE = "https://huggingface.co/owner/big"
RUN = "`python -m vmem weights download"
REFUSALS = [
    (
        403,
        {"X-Error-Code": "GatedRepo"},
        None,
        "gated",
        [PAGE, "accept the conditions", RUN, *LOGIN],
    ),
    (403, {"X-Error-Code": "GatedRepo"}, "hf_x", "gated", [PAGE, "accept the conditions", RUN]),
    (
        401,
        {"X-Error-Code": "GatedRepo"},
        None,
        "gated",
        [PAGE, "accept the conditions", RUN, *LOGIN],
    ),
    (401, {"X-Error-Code": "RepoNotFound"}, None, "login", [PAGE, RUN, "after a login", *LOGIN]),
    (401, {}, None, "login", [PAGE, RUN, *LOGIN]),
    (
        401,
        {"X-Error-Message": "Invalid credentials in Authorization header"},
        "hf_old",
        "login",
        ["does not accept the token", PAGE, RUN, *LOGIN],
    ),
    (404, {"X-Error-Code": "RepoNotFound"}, None, "missing", ["no repository owner/big", PAGE]),
    (404, {"X-Error-Code": "EntryNotFound"}, None, "missing", ["no file weights.pth", PAGE]),
    (404, {"X-Error-Code": "RevisionNotFound"}, None, "missing", ["no revision", PAGE]),
    (403, {"X-Error-Message": "no"}, "hf_x", "gated", ["403", PAGE, RUN]),
    (403, {"X-Error-Message": "Access to this resource is disabled."}, None, "gated", [PAGE]),
    (429, {}, None, "network", ["429", "wait", RUN]),
    (500, {}, None, "network", ["500", RUN]),
    (503, {}, None, "network", ["503", RUN]),
    (200, {}, None, "network", ["does not answer as the hub does", "HF_ENDPOINT", "proxy", PAGE]),
]


@pytest.mark.parametrize(("status", "headers", "token", "kind", "words"), REFUSALS)
def test_what_the_hub_refuses_becomes_advice(hub, monkeypatch, status, headers, token, kind, words):
    if token:
        monkeypatch.setenv("HF_TOKEN", token)
    hub.failures[BIG.repo] = (status, headers)
    error = refusal()
    assert error.kind == kind
    for word in words:
        assert word in str(error)
    assert str(error).startswith(error.reason)
    assert hub.downloads() == []


def test_what_is_really_missing(hub):
    assert "no file absent.pth" in str(refusal(replace(BIG, filename="absent.pth")))
    assert "no revision 'v9'" in str(refusal(replace(BIG, revision="v9")))
    assert "owner/none" in str(refusal(replace(BIG, repo="owner/none")))


def test_no_server_there(hub, monkeypatch):
    from huggingface_hub import constants

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    for endpoint in (f"http://127.0.0.1:{port}", "http://hub.invalid", "not-a-url"):
        monkeypatch.setattr(constants, "ENDPOINT", endpoint)
        template = f"{endpoint}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        error = refusal()
        assert error.kind == "network"
        for word in (endpoint, "network and proxy", PAGE, RUN):
            assert word in str(error)


def test_a_server_that_is_silent(hub, monkeypatch):
    from huggingface_hub import constants

    hub.delay = 1.0
    monkeypatch.setattr(constants, "HF_HUB_ETAG_TIMEOUT", 0.2)
    error = refusal()
    assert error.kind == "network"
    assert "Timeout" in str(error)


def test_offline(hub, monkeypatch):
    from huggingface_hub import constants

    path = fetch(SMALL)
    asked = len(hub.requests)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert fetch(SMALL) == path
    error = refusal()
    assert error.kind == "network"
    for word in ("HF_HUB_OFFLINE", "HF_HOME", PAGE, RUN):
        assert word in str(error)
    assert len(hub.requests) == asked


def test_too_small_a_disk_is_noticed_beforehand(hub, monkeypatch, cache):
    usage = collections.namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage(9 * MIB, 8 * MIB, MIB))
    error = refusal()
    assert error.kind == "disk"
    for word in ("5.24 MB more do not fit", str(cache), "HF_HOME", "run the command again"):
        assert word in str(error)
    assert hub.downloads() == []


@contextlib.contextmanager
def files_no_larger_than(size: int) -> Iterator[None]:
    """The system itself refuses to write more, as a full disk does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_disk_that_fills_up_on_the_way(hub, cache):
    with files_no_larger_than(2 * MIB + 1000):
        error = refusal()
    assert error.kind == "disk"
    assert "the disk is full" in str(error)
    assert "HF_HOME" in str(error)
    assert fetch(BIG).read_bytes() == CONTENT
    assert hub.downloads()[-1].start == 2 * MIB + 1000


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_device_without_space(hub, cache):
    """ENOSPC from the system: the partial file is the device that is always full."""
    blobs = cache / "models--owner--big" / "blobs"
    blobs.mkdir(parents=True)
    part = blobs / (hashlib.sha256(CONTENT).hexdigest() + downloads.PART)
    part.symlink_to("/dev/full")
    error = refusal()
    assert error.kind == "disk"
    assert "the disk is full" in str(error)


def test_a_cache_that_cannot_be_written(hub, cache):
    cache.write_text("a file where the folder should be")
    error = refusal()
    assert error.kind == "disk"
    for word in ("cannot write in", str(cache), "HF_HOME"):
        assert word in str(error)


def run_module(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    root = str(Path(__file__).resolve().parents[2])
    return subprocess.run(
        [sys.executable, "-m", "vmem", "weights", *words],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": root} | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_environment_is_honoured(hub, tmp_path):
    """By the command, in its own process: HF_ENDPOINT, HF_HOME, HF_TOKEN, HF_HUB_OFFLINE."""
    hub.files["liguang0115/vmem", "vmem_weights.pth"] = CONTENT
    home = tmp_path / "home"
    environment = {"HF_HOME": str(home), "HF_ENDPOINT": hub.url, "HOME": str(tmp_path)}
    offline = run_module("download", "vmem", **environment, HF_HUB_OFFLINE="1")
    assert (offline.returncode, offline.stdout) == (1, "")
    note, error = offline.stderr.splitlines()
    assert note.startswith("note: ")
    assert error.startswith("error: vmem_weights.pth of liguang0115/vmem is not in")
    assert hub.requests == []

    assert run_module("status", "vmem", **environment).returncode == 1
    done = run_module("download", "vmem", **environment, HF_TOKEN="hf_mine")
    assert done.returncode == 0
    assert done.stderr.splitlines() == [done.stderr.strip()]
    assert "if this account has no access yet" in done.stderr
    assert done.stdout.startswith("ok       vmem: 5.24 MB, ")
    # The library asks other things of its own too, without the token.
    assert {r.token for r in hub.requests if "/resolve/" in r.path} == {"Bearer hf_mine"}

    asked = len(hub.requests)
    status = run_module("status", "vmem", "--json", **environment, HF_HUB_OFFLINE="1")
    assert status.returncode == 0
    (row,) = json.loads(status.stdout)
    assert row["present"]
    assert row["size"] == len(CONTENT)
    assert Path(row["files"][0]).read_bytes() == CONTENT
    assert home in Path(row["files"][0]).parents
    assert len(hub.requests) == asked


def test_the_command_tries_the_other_parts_too(hub, tmp_path):
    environment = {"HF_HOME": str(tmp_path), "HF_ENDPOINT": hub.url, "HOME": str(tmp_path)}
    done = run_module("download", **environment)
    assert done.returncode == 1
    assert done.stdout == ""
    note, *lines = done.stderr.splitlines()
    assert "hf auth login" in note
    assert len(lines) == 5
    words = ("vmem", "cut3r", "autoencoder", "CLIP", "Depth-Anything")
    for line, word in zip(lines, words, strict=True):
        assert line.startswith("error: ")
        assert word in line
