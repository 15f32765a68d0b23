import os

import pytest

from device_worker.runner import workspace
from device_worker.state.blobs import BlobStore
from device_worker.system.folders import remove_tree


def test_a_folder_goes_with_all_that_is_in_it(tmp_path):
    tree = tmp_path / "tree"
    (tree / "deep" / "er").mkdir(parents=True)
    (tree / "deep" / "er" / "file").write_bytes(b"x")
    (tree / "read-only").write_bytes(b"x")
    (tree / "read-only").chmod(0o400)
    remove_tree(str(tree))
    assert os.listdir(str(tmp_path)) == []


def test_links_are_removed_and_not_followed(tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "kept").write_bytes(b"x")
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "to-folder").symlink_to(elsewhere)
    (tree / "to-file").symlink_to(elsewhere / "kept")
    (tree / "to-nothing").symlink_to(tmp_path / "nothing")
    remove_tree(str(tree))
    assert sorted(os.listdir(str(tmp_path))) == ["elsewhere"]
    assert os.listdir(str(elsewhere)) == ["kept"]


def test_a_link_is_no_folder_to_remove(tmp_path):
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "file").write_bytes(b"x")
    (tmp_path / "link").symlink_to(tmp_path / "kept")
    remove_tree(str(tmp_path / "link"))
    assert sorted(os.listdir(str(tmp_path))) == ["kept", "link"]
    assert os.listdir(str(tmp_path / "kept")) == ["file"]


def test_what_is_not_there_is_removed_already(tmp_path):
    remove_tree(str(tmp_path / "nothing"))


def test_folders_that_a_trial_has_locked_are_removed(tmp_path):
    tree = tmp_path / "tree"
    (tree / "locked" / "inner" / "most").mkdir(parents=True)
    (tree / "locked" / "inner" / "file").write_bytes(b"x")
    for folder in (tree / "locked" / "inner" / "most", tree / "locked" / "inner", tree / "locked", tree):
        folder.chmod(0)
    remove_tree(str(tree))
    assert os.listdir(str(tmp_path)) == []


@pytest.mark.parametrize(("depth", "name"), [(500, "ten-letter"), (3000, "d")])
def test_neither_depth_nor_the_length_of_paths_matters(tmp_path, depth, name):
    """Longer than PATH_MAX, as a trial makes it by going down step by step; deeper than Python recurses."""
    tree = str(tmp_path / "tree")
    os.mkdir(tree)
    folder = os.open(tree, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir(name, dir_fd=folder)
        inner = os.open(name, os.O_RDONLY, dir_fd=folder)
        os.close(folder)
        folder = inner
    os.close(os.open("file", os.O_CREAT | os.O_WRONLY, dir_fd=folder))
    os.close(folder)
    remove_tree(tree)
    assert os.listdir(str(tmp_path)) == []


def test_names_that_it_moves_folders_to_may_be_taken(tmp_path):
    tree = tmp_path / "tree"
    for name in ("0.moved", "1.moved", "2.moved"):
        (tree / name / "inner").mkdir(parents=True)
        (tree / name / "inner" / "file").write_bytes(b"x")
    remove_tree(str(tree))
    assert os.listdir(str(tmp_path)) == []


def test_what_a_trial_left_for_good_is_in_nobodys_way(tmp_path, monkeypatch):
    """Root may have written there for it, or a file system may have become unwilling."""
    work = tmp_path / "run" / "work"
    work.mkdir(parents=True)
    (work / "stubborn").write_bytes(b"x")
    monkeypatch.setattr(workspace, "remove_tree", lambda _path: None)
    with workspace.Workspace(str(work), BlobStore(str(tmp_path / "blobs"))):
        assert os.listdir(str(work)) == []
    (left,) = (path for path in (tmp_path / "run").iterdir() if path != work)
    assert os.listdir(str(left)) == ["stubborn"]
