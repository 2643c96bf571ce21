"""The vmem backend end to end on tiny networks: a walk, sizes and slots, viewer, command line."""

from __future__ import annotations

import json
import sys
import threading

import numpy as np
import pytest
import torch
from PIL import Image

from tests.support import tiny
from tests.support.fakes import box_photo
from tests.support.released import (
    PHOTO,
    SIZE,
    frames_of,
    generator,
    opened,
)
from viewer.settings import Settings
from viewer.walk.source import Source
from viewer.walk.workspace import Workspace
from vmem.__main__ import main
from vmem.backends import Backend, create_backend
from vmem.cameras import Cameras
from vmem.devices.settings import NetworkSettings
from vmem.errors import BackendError
from vmem.generation.diffusion.codecs.previews import TinyPreview
from vmem.generation.diffusion.codecs.view_code import ViewCode
from vmem.generation.diffusion.networks import SHARED, use_networks
from vmem.progress import CancelToken, Progress, silent
from vmem.session import ConfigError, Session

pytestmark = pytest.mark.usefixtures("one_thread", "released")


# --- a walk ----------------------------------------------------------------------------------


def test_a_walk_from_photo_to_memory_and_files(tmp_path):
    session = opened()
    for word in "wwa":
        session.move(word)
    memory = session.memory
    assert [len(r.order) for r in memory.retrievals if r is not None] == [1, 3, 3]
    assert len(memory.views) == 7
    assert len(memory.surfels) > 0
    assert memory.views[0].latents is None
    for view in memory.views[1:]:
        assert view.rgb.shape == (SIZE, SIZE, 3)
        code = ViewCode.from_arrays(view.latents)
        assert code is not None
        assert (code.latent.shape, code.embedding.shape) == ((4, 8, 8), (32,))
        assert np.isfinite(code.latent).all()
        assert code.latent.base is None  # else one view keeps all of its step alive
    assert frames_of(session)[1:].std() > 1
    session.export("walk", tmp_path / "walk")
    assert len(list((tmp_path / "walk" / "frames").iterdir())) == 7


def test_frames_are_what_their_latents_decode_to(session):
    """Latents are kept as sampled; the embedding is of the unclamped image."""
    session.move("d")
    with use_networks(generator(session).settings, silent, CancelToken()) as nets:
        for view in session.memory.views[1:]:
            code = ViewCode.from_arrays(view.latents)
            assert code is not None
            image = nets.codec.decode(torch.from_numpy(code.latent)[None])
            embedding = nets.embedder.embed(image)[0].numpy()
            shown = np.clip(np.rint((image[0].numpy() + 1) * 127.5), 0, 255)
            assert abs(shown.transpose(1, 2, 0) - view.rgb).max() <= 1
            np.testing.assert_allclose(code.embedding, embedding, atol=1e-4)


def test_equal_walks_are_equal_and_seeds_differ():
    one, two, other = opened(3), opened(3), opened(4)
    for session in (one, two, other):
        session.move("w")
        session.move("w")
    np.testing.assert_array_equal(frames_of(one), frames_of(two))
    assert (frames_of(one)[1:] != frames_of(other)[1:]).mean() > 0.5


def test_undo_and_the_same_step_again_give_the_same_frames(session):
    session.move("a")
    made = frames_of(session)
    assert session.undo()
    assert len(session.memory.views) == 3
    session.move("a")
    np.testing.assert_array_equal(frames_of(session), made)


def test_the_photo_is_encoded_once(session, monkeypatch):
    with use_networks(generator(session).settings, silent, CancelToken()) as nets:
        monkeypatch.setattr(nets.codec, "encode", None)
    session.move("w")
    retrieval = session.memory.retrievals[-1]
    assert retrieval is not None
    assert 0 in retrieval.order


def test_the_context_decides_the_frames():
    one, other = opened(), opened(photo=255 - PHOTO)
    one.move("w")
    other.move("w")
    assert (frames_of(one)[1:] != frames_of(other)[1:]).mean() > 0.2


def test_forming_frames_are_shown_by_the_tiny_autoencoder_where_it_is(tmp_path, monkeypatch):
    settings = NetworkSettings.from_environment()
    with use_networks(settings, silent, CancelToken()) as networks:
        assert not isinstance(networks.preview, TinyPreview)
    tiny.write_taesd(tmp_path / "taesd")
    monkeypatch.setenv("VMEM_TAESD", str(tmp_path / "taesd"))
    SHARED.unload()
    try:
        with use_networks(settings, silent, CancelToken()) as networks:
            assert isinstance(networks.preview, TinyPreview)
        shown: list[Progress] = []
        session = opened()
        session.move("w", on_progress=shown.append)
        assert any(progress.frames is not None for progress in shown)
    finally:
        SHARED.unload()


# --- sizes and slots -------------------------------------------------------------------------


def test_more_views_than_slots_are_never_retrieved():
    session = opened(context_views=12, target_views=4)
    for _ in range(3):
        session.move("w")
    assert [len(r.order) for r in session.memory.retrievals if r] == [1, 4, 4]


def test_more_targets_than_slots_are_refused(session):
    with pytest.raises(ConfigError, match="target_views must be below 8"):
        opened(target_views=8)
    many = Cameras.stack([session.camera] * 8)
    with pytest.raises(ConfigError, match="8 targets at once leave no slot"):
        session.step(many)


def test_photos_are_opened_at_the_models_size(tmp_path):
    path = tmp_path / "photo.png"
    Image.fromarray(box_photo((100, 140))).save(path)
    session = Session.open(path, backend="vmem", size=288)
    assert session.camera.hw == (SIZE, SIZE)
    with pytest.raises(BackendError, match="makes frames of 64 by 64 pixels"):
        Session.open(box_photo((96, 96)), backend="vmem")


def test_the_backend_says_what_it_is():
    made = create_backend("vmem", seed=0, size=288)
    assert isinstance(made, Backend)
    assert (made.frame_size, made.slots, made.aligned_depth) == (SIZE, 8, False)
    assert "not CUT3R" in made.label


# --- the viewer and the command line ---------------------------------------------------------


def test_the_viewer_opens_photos_at_the_models_size(tmp_path):
    path = tmp_path / "photo.png"
    Image.fromarray(box_photo((100, 140))).save(path)
    workspace = Workspace(Settings(backend="vmem", size=288, context_views=12))
    ended = threading.Event()
    workspace.listen(lambda event: ended.set() if event.kind in ("finished", "failed") else None)
    try:
        workspace.open(Source("photo", path))
        assert ended.wait(60)
        assert workspace.session is not None
        assert workspace.session.camera.hw == (SIZE, SIZE)
        # Of the 12 asked for, beside 4 targets in 8 slots.
        assert workspace.query(workspace.session.memory).k == 4
    finally:
        workspace.close()


@pytest.fixture
def vmem(tmp_path, monkeypatch, capfd):
    """Run the command line in this process, in a folder of its own; what it prints."""

    def run(*arguments: str) -> str:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", ["vmem", *arguments])
        capfd.readouterr()
        code = main()
        out, err = capfd.readouterr()
        assert code == 0, err
        return out

    return run


def test_a_walk_from_the_command_line(vmem, tmp_path):
    photo = tmp_path / "photo.png"
    Image.fromarray(box_photo((96, 128))).save(photo)
    arguments = ["walk", str(photo), "--moves", "w a", "--backend", "vmem", "--json"]
    report = json.loads(vmem(*arguments))
    assert (report["views"], report["steps"], report["backend"]) == (9, 2, "vmem")
    assert report["surfels"] > 0
    frame = Image.open(tmp_path / "out" / "frames" / "000008.png")
    assert frame.size == (SIZE, SIZE)


def test_doctor_knows_the_weights(vmem):
    said = vmem("doctor")
    for part in ("vmem", "vae", "clip"):
        assert f"ok       {part}: " in said
    assert "missing  cut3r: " in said
    assert "ok       vmem: on the CPU as asked" in said
