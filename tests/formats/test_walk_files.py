"""Exports: what other programs read back, and what a failed export leaves behind."""

from __future__ import annotations

import errno
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import trimesh
from PIL import Image

from tests.support.fakes import HW, open_box
from vmem.cameras import to_opengl
from vmem.formats import ExportError, check_writable, export, export_walk
from vmem.formats.walk import KINDS
from vmem.memory import MemorySnapshot

FILES = {"frames", "transforms.json", "retrieval.json", "surfels.ply", "walk.mp4"}


@pytest.fixture(scope="module")
def short() -> MemorySnapshot:
    """Two steps: nine views."""
    session = open_box()
    session.move("w")
    session.move("a")
    return session.memory


@pytest.fixture(scope="module")
def exported(short, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("walk") / "deep" / "er"
    export_walk(short, folder)
    return folder


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def refuse_replacing(monkeypatch, target: str, code: int = errno.ENOSPC) -> None:
    """Moving any file of that name into place fails, as on a full disk."""
    replace = Path.replace

    def failing(self: Path, to: Path) -> Path:
        if to.name == target:
            raise OSError(code, "No space left on device")
        return replace(self, to)

    monkeypatch.setattr(Path, "replace", failing)


# --- what is written -------------------------------------------------------------------------


def test_everything_is_there_and_nothing_else(exported):
    assert names(exported) == FILES


def test_frames_are_the_views(exported, short):
    assert names(exported / "frames") == {f"{i:06d}.png" for i in range(9)}
    for i, view in enumerate(short.views):
        np.testing.assert_array_equal(
            np.array(Image.open(exported / f"frames/{i:06d}.png")), view.rgb
        )


def test_transforms_list_every_view_with_its_camera(exported, short):
    transforms = json.loads((exported / "transforms.json").read_text())
    assert transforms["camera_model"] == "PINHOLE"
    assert (exported / transforms["ply_file_path"]).is_file()
    assert len(transforms["frames"]) == len(short.views)
    for frame, view in zip(transforms["frames"], short.views, strict=True):
        assert (exported / frame["file_path"]).is_file()
        assert (frame["h"], frame["w"]) == view.rgb.shape[:2]
        assert frame["step"] == view.step
        np.testing.assert_allclose(frame["transform_matrix"], to_opengl(view.camera.c2w))
    for key in ("w", "h", "fl_x", "fl_y", "cx", "cy"):
        assert transforms[key] == transforms["frames"][0][key]


def test_transforms_project_surfels_to_where_the_views_saw_them(exported, short):
    """As any reader of the format would: OpenGL camera axes, intrinsics in pixels."""
    frame = json.loads((exported / "transforms.json").read_text())["frames"][7]
    seen = short.link_surfel[short.link_view == 7]
    c2w = np.array(frame["transform_matrix"])
    local = (short.surfels.position[seen] - c2w[:3, 3]) @ c2w[:3, :3]
    assert (local[:, 2] < 0).all(), "the camera looks along -z"
    column = frame["fl_x"] * local[:, 0] / -local[:, 2] + frame["cx"]
    row = frame["fl_y"] * -local[:, 1] / -local[:, 2] + frame["cy"]
    # A disk at the border may show although its centre lies just outside.
    inside = (column > -2) & (column < frame["w"] + 2) & (row > -2) & (row < frame["h"] + 2)
    assert inside.mean() > 0.98
    picture = np.array(Image.open(exported / frame["file_path"])).astype(int)
    rows, columns = (np.clip(p, 0, HW[0] - 1).astype(int) for p in (row, column))
    difference = np.abs(picture[rows, columns] - short.surfels.color[seen].astype(int))
    assert np.median(difference) <= 8


def test_surfels_are_read_by_trimesh(exported, short):
    cloud = trimesh.load(exported / "surfels.ply")
    assert isinstance(cloud, trimesh.PointCloud)
    np.testing.assert_allclose(cloud.vertices, short.surfels.position, atol=1e-6)
    np.testing.assert_array_equal(np.asarray(cloud.colors)[:, :3], short.surfels.color)
    vertex = cloud.metadata["_ply_raw"]["vertex"]
    np.testing.assert_allclose(vertex["data"]["radius"], short.surfels.radius)
    normals = np.stack([vertex["data"][axis] for axis in ("nx", "ny", "nz")], axis=-1)
    np.testing.assert_allclose(normals.reshape(-1, 3), short.surfels.normal, atol=1e-6)


def test_retrievals_are_those_of_the_walk(exported, short):
    written = json.loads((exported / "retrieval.json").read_text())
    assert [entry["step"] for entry in written] == [1, 2]
    for entry, retrieval in zip(written, short.retrievals[1:], strict=True):
        assert retrieval is not None
        assert entry["chosen"] == list(retrieval.order)
        assert (entry["strategy"], entry["k"]) == (retrieval.strategy, retrieval.k)
        np.testing.assert_array_equal(entry["targets"], retrieval.targets.c2w)
        for view, row in enumerate(entry["views"]):
            assert row["view"] == view
            assert row["chosen"] == bool(retrieval.chosen[view])
            assert row["reason"] == str(retrieval.reasons[view])
            for name in ("votes", "share", "coverage", "pose_distance", "rank"):
                assert row[name] == getattr(retrieval, name)[view]


def test_the_photo_alone_can_be_exported(tmp_path):
    export_walk(open_box().memory, tmp_path)
    assert names(tmp_path) == FILES
    assert json.loads((tmp_path / "retrieval.json").read_text()) == []


def test_no_file_is_rewritten_differently(exported, short, tmp_path):
    """Equal walks give equal files; the video apart, whose encoder promises nothing."""
    export_walk(short, tmp_path)
    for path in tmp_path.rglob("*"):
        if path.is_file() and path.suffix != ".mp4":
            assert path.read_bytes() == (exported / path.relative_to(tmp_path)).read_bytes()


# --- files that no walk wrote ----------------------------------------------------------------

FOREIGN = {
    "frames/000003.png",
    "frames/001234.png",
    "transforms.json",
    "retrieval.json",
    "surfels.ply",
    "walk.mp4",
}


@pytest.fixture
def data_set(tmp_path) -> Path:
    """A folder of somebody's own, with names that a walk would write."""
    (tmp_path / "frames").mkdir()
    for name in (*FOREIGN, "frames/notes.txt"):
        if name.endswith(".png"):
            Image.new("RGB", (40, 30), "red").save(tmp_path / name)
        else:
            (tmp_path / name).write_text('{"mine": 1}')
    return tmp_path


def test_frames_of_a_longer_walk_are_removed_and_other_files_kept(short, tmp_path):
    export_walk(short, tmp_path)
    frames = tmp_path / "frames"
    for name in ("notes.txt", "cover.png", "1.png"):
        (frames / name).write_bytes(b"mine")
    export_walk(open_box().memory, tmp_path)
    assert names(frames) == {"000000.png", "notes.txt", "cover.png", "1.png"}
    assert names(tmp_path) == FILES


@pytest.mark.parametrize("kept", sorted(FOREIGN))
def test_a_walk_is_not_written_over_a_file_that_no_walk_wrote(short, data_set, kept):
    for name in FOREIGN - {kept}:
        (data_set / name).unlink()
    before = contents(data_set)
    for refused in (
        lambda: check_writable(data_set),
        lambda: export_walk(short, data_set),
        lambda: export("walk", short, data_set),
    ):
        with pytest.raises(ExportError, match=f"{kept}, which no walk wrote: choose another"):
            refused()
    assert contents(data_set) == before


@pytest.mark.parametrize("name", sorted(FILES - {"frames"}))
def test_a_file_is_somebodys_own_beside_a_walk_too(exported, short, tmp_path, name):
    shutil.copytree(exported, tmp_path, dirs_exist_ok=True)
    (tmp_path / name).write_bytes(b'{"mine": 1}')
    before = contents(tmp_path)
    with pytest.raises(ExportError, match=rf"{name}, which no walk wrote"):
        export_walk(short, tmp_path)
    assert contents(tmp_path) == before


CHANGES = {
    "transforms.json": lambda content: content.replace(b"{", b'{"aabb_scale": 16,', 1),
    "retrieval.json": lambda content: content.replace(b'"strategy"', b'"plan"', 1),
    "surfels.ply": lambda content: content + b"more",
    "walk.mp4": lambda content: content.replace(b"VMem Viewer", b"My Holidays"),
    "frames/000002.png": lambda content: content.replace(b"VMem Viewer", b"My Holidays"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_file_that_somebody_changed_is_theirs(exported, short, tmp_path, name):
    shutil.copytree(exported, tmp_path, dirs_exist_ok=True)
    check_writable(tmp_path)
    content = (tmp_path / name).read_bytes()
    changed = CHANGES[name](content)
    assert changed != content
    (tmp_path / name).write_bytes(changed)
    with pytest.raises(ExportError, match=rf"{name}, which no walk wrote"):
        check_writable(tmp_path)


def test_a_link_is_kept_or_set_aside_and_its_target_is_not_lost(exported, short, tmp_path):
    folder, target = tmp_path / "walk", tmp_path / "target.json"
    shutil.copytree(exported, folder)
    link = folder / "transforms.json"
    link.rename(target)
    link.symlink_to(target)
    export_walk(short, folder)
    assert link.readlink() == target
    target.write_text("mine")
    with pytest.raises(ExportError, match="which no walk wrote"):
        export_walk(short, folder)
    export_walk(short, folder, force=True)
    assert target.read_text() == (folder / "transforms.json.old").read_text() == "mine"
    assert not link.is_symlink()


def test_frames_are_not_written_over_pictures_either(short, data_set):
    before = contents(data_set)
    with pytest.raises(ExportError, match=r"000003.png and 1 more, which no walk wrote"):
        export("frames", short, data_set / "frames")
    assert contents(data_set) == before


def test_by_force_files_in_the_way_are_renamed_and_none_is_lost(short, data_set):
    before = contents(data_set)
    check_writable(data_set, force=True)
    export_walk(short, data_set, force=True)
    after = contents(data_set)
    for path, content in before.items():
        kept = path in after and after[path] == content
        assert kept or after[path.with_name(f"{path.name}.old")] == content
    others = FILES - {"frames"}
    assert names(data_set) == FILES | {f"{name}.old" for name in others}
    # A frame that somebody painted on since is theirs.
    Image.new("RGB", (40, 30), "blue").save(data_set / "frames" / "000003.png")
    export_walk(short, data_set, force=True)
    assert {"000003.png.old", "000003.png.old2"} <= names(data_set / "frames")


def test_an_export_that_was_interrupted_can_be_repeated(short, tmp_path, monkeypatch):
    for name in ("000004.png", *sorted(FILES - {"frames"})):
        with monkeypatch.context() as context:
            refuse_replacing(context, name)
            with pytest.raises(ExportError, match="No space left"):
                export_walk(short, tmp_path / name)
        export_walk(short, tmp_path / name)
        assert names(tmp_path / name) == FILES


def test_a_home_folder_is_found(short, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    check_writable(Path("~/out"))
    export("surfels", short, Path("~/out/surfels.ply"))
    assert names(tmp_path / "out") == {"surfels.ply"}


# --- what stands in the way ------------------------------------------------------------------


def test_unknown_kinds_are_refused(short, tmp_path):
    with pytest.raises(ExportError, match="unknown export 'gif': use one of frames"):
        export("gif", short, tmp_path / "walk.gif")


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_file_in_place_of_a_folder(short, tmp_path, kind):
    blocker = tmp_path / "file"
    blocker.write_text("mine")
    with pytest.raises(ExportError, match=r"cannot write .*choose another output"):
        export(kind, short, blocker / "out" / "name.ply")
    assert blocker.read_text() == "mine"


@pytest.mark.parametrize("kind", sorted(set(KINDS) - {"frames", "walk"}))
def test_a_folder_in_place_of_a_file(short, tmp_path, kind):
    (tmp_path / "name.mp4").mkdir()
    with pytest.raises(ExportError, match="cannot write"):
        export(kind, short, tmp_path / "name.mp4")
    assert names(tmp_path) == {"name.mp4"}


@pytest.mark.parametrize("kind", sorted(set(KINDS) - {"frames", "walk"}))
def test_a_pipe_stays_a_pipe_and_a_link_a_link(short, tmp_path, kind):
    pipe, link, target = (tmp_path / name for name in ("pipe.mp4", "link.mp4", "below/target.mp4"))
    os.mkfifo(pipe)
    with pytest.raises(ExportError, match="not a regular file"):
        export(kind, short, pipe)
    assert pipe.is_fifo()
    link.symlink_to(pipe)
    with pytest.raises(ExportError, match="not a regular file"):
        export(kind, short, link)
    link.unlink()
    target.parent.mkdir()
    target.write_text("mine")
    link.symlink_to(target)
    export(kind, short, link)
    assert link.readlink() == target
    assert target.stat().st_size > 100
    assert names(tmp_path) == {"pipe.mp4", "link.mp4", "below"}
    assert names(target.parent) == {"target.mp4"}


@pytest.mark.parametrize("name", ["frames/000003.png", "transforms.json", "walk.mp4"])
def test_a_pipe_in_a_walks_folder_is_not_opened(short, tmp_path, name):
    (tmp_path / "frames").mkdir()
    os.mkfifo(tmp_path / name)
    with pytest.raises(ExportError, match="cannot write"):
        export_walk(short, tmp_path)
    assert (tmp_path / name).is_fifo()


def test_check_writable(tmp_path):
    check_writable(tmp_path / "new" / "folder")
    assert names(tmp_path / "new" / "folder") == set()
    (tmp_path / "file").write_text("mine")
    for wrong in (tmp_path / "file", tmp_path / "file" / "below", tmp_path / ("x" * 300)):
        with pytest.raises(ExportError, match="cannot write"):
            check_writable(wrong)


@pytest.mark.parametrize("name", ["000004.png", *sorted(FILES - {"frames"})])
def test_a_full_disk_leaves_the_old_files_whole(short, tmp_path, monkeypatch, name):
    export_walk(short, tmp_path)
    before = contents(tmp_path)
    refuse_replacing(monkeypatch, name)
    with pytest.raises(ExportError, match="No space left on device"):
        export_walk(short, tmp_path)
    after = contents(tmp_path)
    assert set(after) == set(before), "no half file and none lost"
    blocked = next(path for path in after if path.name == name)
    assert after[blocked] == before[blocked]
