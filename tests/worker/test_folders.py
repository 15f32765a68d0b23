import os

import pytest

from device_worker.folders import remove_tree


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


@pytest.mark.skipif(os.geteuid() == 0, reason="root may remove everything")
def test_what_cannot_be_removed_stays_and_the_rest_goes(tmp_path):
    tree = tmp_path / "tree"
    (tree / "locked").mkdir(parents=True)
    (tree / "locked" / "file").write_bytes(b"x")
    (tree / "other").write_bytes(b"x")
    (tree / "locked").chmod(0o500)
    try:
        remove_tree(str(tree))
        assert os.listdir(str(tree)) == ["locked"]
    finally:
        (tree / "locked").chmod(0o700)
