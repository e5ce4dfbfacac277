from __future__ import annotations

import os
from pathlib import Path

import pytest

from phenoloom.core.errors import ImageError, PhenoloomError
from phenoloom.study.files import Root, listed, natural, walk
from phenoloom.study.patterns import Pattern

STRANGE = ["SARS-CoV2[2454]", "plate 11001", 'it\'s "x"', "$HOME", "Zürich*?"]


def write(folder: Path, *names: str) -> Root:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x" * len(name))
    return Root(str(folder))


@pytest.mark.parametrize("name", STRANGE)
def test_folders_and_files_with_strange_names_are_found(tmp_path: Path, name: str) -> None:
    root = write(tmp_path / name, f"{name}/{name}.tif")
    assert list(walk(root, Pattern("{plate}/{well}.tif"))) == [(f"{name}/{name}.tif", {"plate": name, "well": name})]


def test_files_come_in_the_order_of_their_names_and_folders_named_like_files_do_not(tmp_path: Path) -> None:
    root = write(tmp_path, "b/2.tif", "b/10.tif", "a/1.tif", "c.tif/x", "b/3.png")
    assert [path for path, _ in walk(root, Pattern("{plate}/{image}.tif"))] == ["a/1.tif", "b/10.tif", "b/2.tif"]
    assert list(walk(root, Pattern("{image}.tif"))) == []


def test_folders_that_do_not_fit_are_not_opened(tmp_path: Path) -> None:
    root = write(tmp_path, "a/1.tif", "locked/1.tif")
    (tmp_path / "loop").symlink_to(tmp_path)
    assert [path for path, _ in walk(root, Pattern("a/{image}.tif"))] == ["a/1.tif"]


def test_a_link_to_a_folder_above_is_not_followed_for_ever(tmp_path: Path) -> None:
    root = write(tmp_path, "a/b/1.tif", "c/2.tif")
    (tmp_path / "a" / "loop").symlink_to(tmp_path)
    (tmp_path / "a" / "self").symlink_to(tmp_path / "a")
    (tmp_path / "to_c").symlink_to(tmp_path / "c")
    assert [path for path, _ in walk(root, Pattern("{**}/{image}.tif"))] == ["a/b/1.tif", "c/2.tif", "to_c/2.tif"]


def test_the_nearest_of_the_files_in_a_folder_has_the_same_name_in_another_case_or_with_another_extension(
    tmp_path: Path,
) -> None:
    root = write(tmp_path, "a/X1.TIF", "a/x2.tiff", "a/sample_3.tif", "a/zzz.txt")
    assert [root.nearest(f"a/{name}") for name in ("x1.tif", "x2.tif", "sample_03.tif", "qqqqqq.tif")] == [
        "a/X1.TIF", "a/x2.tiff", "a/sample_3.tif", None,
    ]  # fmt: skip
    assert root.nearest("b/x.tif") is None


@pytest.mark.parametrize("path", ["../x.tif", "/etc/passwd", "a/../../x.tif"])
def test_a_path_out_of_the_root_is_refused(tmp_path: Path, path: str) -> None:
    (tmp_path / "listing.txt").write_text(f"{path}\n")
    root = Root(str(tmp_path))
    with pytest.raises(PhenoloomError, match="leads out of the root"):
        root.size(path)


def test_an_absolute_path_inside_the_root_is_refused_with_the_relative_one(tmp_path: Path) -> None:
    root = write(tmp_path, "a/t.csv")
    with pytest.raises(PhenoloomError, match=r"is absolute; write it relative to `source.root`: 'a/t.csv'$"):
        root.size(str(tmp_path / "a" / "t.csv"))


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_a_link_out_of_the_root_is_refused_and_one_inside_is_followed(tmp_path: Path, kind: str) -> None:
    outside, inside = tmp_path / "outside", tmp_path / "root"
    write(outside, "x.tif")
    root = write(inside, "real/x.tif")
    if kind == "file":
        (inside / "out.tif").symlink_to(outside / "x.tif")
        (inside / "in.tif").symlink_to(inside / "real" / "x.tif")
        bad, good = "out.tif", "in.tif"
    else:
        (inside / "out").symlink_to(outside)
        (inside / "in").symlink_to(inside / "real")
        bad, good = "out/x.tif", "in/x.tif"
    assert root.size(good) == len("real/x.tif")
    with pytest.raises(PhenoloomError, match="link out of the root"):
        root.size(bad)


def test_a_file_that_is_missing_or_is_no_file_gets_its_own_message(tmp_path: Path) -> None:
    root = write(tmp_path, "a/x.tif")
    with pytest.raises(ImageError, match="does not exist"):
        root.size("b/x.tif")
    with pytest.raises(ImageError, match="does not exist"):
        root.size("a/x.tif/y.tif")
    with pytest.raises(ImageError, match="not a file"):
        root.size("a")


def test_a_listing_gives_its_paths_without_looking_at_the_disk(tmp_path: Path) -> None:
    (tmp_path / "files.txt").write_text("./P[1]/a.tif\r\n\nP[1]/b.png\nP[2]/c d.tif")
    found = list(listed(Root(str(tmp_path)), "files.txt", Pattern("{plate}/{image}.tif")))
    assert [path for path, _ in found] == ["P[1]/a.tif", "P[2]/c d.tif"]
    with pytest.raises(PhenoloomError, match="no listing"):
        list(listed(Root(str(tmp_path)), "other.txt", Pattern("{image}.tif")))


def test_a_missing_root_is_named() -> None:
    with pytest.raises(PhenoloomError, match="no folder /nowhere/at/all"):
        Root("/nowhere/at/all")


def test_a_file_name_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.tif")).write_bytes(b"")
    with pytest.raises(PhenoloomError, match="not valid UTF-8"):
        list(walk(Root(str(tmp_path)), Pattern("{image}.tif")))


def test_numbers_are_ordered_by_value_and_equal_ones_by_text() -> None:
    assert sorted(["s10", "s2", "s02", "a", "10", "2"], key=natural) == ["2", "10", "a", "s02", "s2", "s10"]
