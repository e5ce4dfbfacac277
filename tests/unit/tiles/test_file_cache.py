from __future__ import annotations

from pathlib import Path

from phenoloom.tiles.file_cache import OpenFiles


def files(folder: Path, count: int) -> list[Path]:
    paths = [folder / str(number) for number in range(count)]
    for path in paths:
        path.write_bytes(path.name.encode())
    return paths


def test_the_file_that_was_used_longest_ago_is_closed_first(tmp_path: Path) -> None:
    cache, (a, b, c) = OpenFiles(limit=2), files(tmp_path, 3)
    first = cache.get("a", a)
    cache.get("b", b)
    assert cache.get("a", a) is first
    cache.get("c", c)
    assert len(cache) == 2
    assert cache.get("a", a) is first


def test_a_file_that_dropped_out_stays_open_for_those_who_read_it(tmp_path: Path) -> None:
    cache, (a, b) = OpenFiles(limit=1), files(tmp_path, 2)
    held = cache.get("a", a)
    cache.get("b", b)
    assert held.read() == b"0"
    assert cache.get("a", a) is not held


def test_files_of_one_owner_are_forgotten_together(tmp_path: Path) -> None:
    cache, (a, b, c) = OpenFiles(limit=9), files(tmp_path, 3)
    for key, path in (((1, 0), a), ((1, 1), b), ((2, 0), c)):
        cache.get(key, path)
    cache.drop(1)
    assert len(cache) == 1
