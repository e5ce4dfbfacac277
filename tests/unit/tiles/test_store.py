from __future__ import annotations

import shutil
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorstore
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

from phenoloom.core.errors import PhenoloomError
from phenoloom.tiles.file_cache import OpenFiles
from phenoloom.tiles.shard_file import BYTES, LEVELS, SHUFFLES, Layout, ShardReader
from phenoloom.tiles.store import TileStore, TileWriter

RNG = np.random.default_rng(0)


def write_store(
    path: Path,
    tiles: np.ndarray,
    masks: np.ndarray | None = None,
    *,
    per_file: int = 4,
    compression: str = "lz4",
    shuffle: str = BYTES,
) -> str:
    layout = Layout(tiles.shape[1:], tiles.dtype, per_file, compression, shuffle)
    of_masks = None if masks is None else Layout(masks.shape[1:], masks.dtype, per_file, compression)
    with TileWriter(path, layout, of_masks) as writer:
        for i, tile in enumerate(tiles):
            writer.append(writer.encode(tile, None if masks is None else masks[i]))
        return writer.close({"channels": ["a", "b"]})


def some_tiles(n: int = 10, dtype: Any = "uint16", shape: tuple[int, ...] = (2, 8, 12)) -> np.ndarray:
    return RNG.integers(0, 100, (n, *shape)).astype(dtype)


def read_with_tensorstore(path: Path) -> np.ndarray:
    spec = {"driver": "zarr3", "kvstore": {"driver": "file", "path": str(path)}}
    found: np.ndarray = tensorstore.open(spec).result().read().result()
    return found


@settings(max_examples=30, deadline=None)
@given(
    n=st.integers(0, 9),
    shape=st.tuples(st.integers(1, 3), st.integers(1, 17), st.integers(1, 17)),
    per_file=st.integers(1, 5),
    dtype=st.sampled_from(["uint8", "uint16", "uint32", "int8", "int16", "int32", "float32"]),
    compression=st.sampled_from(["lz4", "zstd"]),
    shuffle=st.sampled_from(SHUFFLES),
    masked=st.booleans(),
)
def test_zarr_and_tensorstore_and_the_store_read_what_was_written(
    tmp_path_factory: pytest.TempPathFactory,
    n: int,
    shape: tuple[int, int, int],
    per_file: int,
    dtype: str,
    compression: str,
    shuffle: str,
    masked: bool,
) -> None:
    path = tmp_path_factory.mktemp("store") / "0000.zarr"
    tiles = some_tiles(n, dtype, shape)
    masks = (tiles[:, 0] > 50).astype(np.uint8) if masked else None
    write_store(path, tiles, masks, per_file=per_file, compression=compression, shuffle=shuffle)
    store, rows = TileStore(path), RNG.permutation(n)
    assert (store.shape, store.dtype, len(store)) == (tiles.shape, tiles.dtype, n)
    np.testing.assert_array_equal(store.read(rows), tiles[rows])
    np.testing.assert_array_equal(zarr.open_group(path, mode="r")["tiles"][:], tiles)
    np.testing.assert_array_equal(read_with_tensorstore(path / "tiles"), tiles)
    if masks is not None:
        np.testing.assert_array_equal(store.read_masks(rows), masks[rows])
        np.testing.assert_array_equal(read_with_tensorstore(path / "masks"), masks)
    shutil.rmtree(path)


def test_a_store_compressed_with_another_effort_is_still_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tiles = some_tiles()
    with monkeypatch.context() as earlier:
        earlier.setitem(LEVELS, "lz4", 9)
        write_store(tmp_path / "a.zarr", tiles)
    store = TileStore(tmp_path / "a.zarr")
    np.testing.assert_array_equal(store.read(range(len(tiles))), tiles)


def test_attributes_are_kept_beside_the_schema(tmp_path: Path) -> None:
    write_store(tmp_path / "a.zarr", some_tiles())
    assert TileStore(tmp_path / "a.zarr").attrs == {"phenoloom": 1, "channels": ["a", "b"]}


def test_rows_may_repeat_and_come_in_any_order_from_any_number_of_threads(tmp_path: Path) -> None:
    tiles = some_tiles(23)
    write_store(tmp_path / "a.zarr", tiles)
    store, rows = TileStore(tmp_path / "a.zarr"), [5, 5, 22, 0, 17, 3]
    for threads in (1, 2, 3, 9):
        np.testing.assert_array_equal(store.read(rows, threads=threads), tiles[rows])


def test_tiles_are_decoded_into_the_array_given(tmp_path: Path) -> None:
    tiles = some_tiles()
    write_store(tmp_path / "a.zarr", tiles)
    out = np.full((3, *tiles.shape[1:]), 7, np.uint16)
    assert TileStore(tmp_path / "a.zarr").read([1, 2, 3], out=out) is out
    np.testing.assert_array_equal(out, tiles[1:4])


@pytest.mark.parametrize("bad", [np.empty((2, 2, 8, 12), np.uint16), np.empty((3, 2, 8, 12), np.float32)])
def test_an_array_of_another_shape_or_type_is_refused(tmp_path: Path, bad: np.ndarray) -> None:
    write_store(tmp_path / "a.zarr", some_tiles())
    with pytest.raises(ValueError, match="expected out"):
        TileStore(tmp_path / "a.zarr").read([1, 2, 3], out=bad)


def test_rows_beyond_the_store_are_refused(tmp_path: Path) -> None:
    write_store(tmp_path / "a.zarr", some_tiles(5))
    for rows in ([5], [-1]):
        with pytest.raises(IndexError, match="expected rows from 0 to 4"):
            TileStore(tmp_path / "a.zarr").read(rows)


def test_an_empty_store_opens_and_gives_nothing(tmp_path: Path) -> None:
    write_store(tmp_path / "a.zarr", some_tiles(0))
    assert TileStore(tmp_path / "a.zarr").read([]).shape == (0, 2, 8, 12)


def test_a_store_without_masks_says_so(tmp_path: Path) -> None:
    write_store(tmp_path / "a.zarr", some_tiles(1))
    with pytest.raises(PhenoloomError, match="holds no masks"):
        TileStore(tmp_path / "a.zarr").read_masks([0])


def test_a_store_can_be_shared_by_threads(tmp_path: Path) -> None:
    tiles = some_tiles(40)
    write_store(tmp_path / "a.zarr", tiles)
    store = TileStore(tmp_path / "a.zarr")
    wrong: list[int] = []

    def read(seed: int) -> None:
        rows = np.random.default_rng(seed).integers(0, 40, 200)
        wrong.extend(row for row in rows if not (store.read([row])[0] == tiles[row]).all())

    threads = [threading.Thread(target=read, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_folder_without_a_store_says_so(tmp_path: Path) -> None:
    with pytest.raises(PhenoloomError, match=r"found no .*zarr\.json"):
        TileStore(tmp_path)


def test_an_unfinished_store_cannot_be_opened(tmp_path: Path) -> None:
    with TileWriter(tmp_path / "a.zarr", Layout((2, 8, 12), np.dtype("u2"), 4, "lz4")) as writer:
        writer.append(writer.encode(some_tiles(1)[0]))
    with pytest.raises(PhenoloomError, match="expected a Zarr v3 store"):
        TileStore(tmp_path / "a.zarr")


def damage(path: Path, position: int, value: int | None = None) -> None:
    data = bytearray(path.read_bytes())
    data[position] = data[position] ^ 0xFF if value is None else value
    path.write_bytes(data)


def test_a_damaged_index_is_recognised_by_its_checksum(tmp_path: Path) -> None:
    write_store(tmp_path / "a.zarr", some_tiles(6))
    damage(tmp_path / "a.zarr/tiles/c.1.0.0.0", -20)
    store = TileStore(tmp_path / "a.zarr")
    store.read([0, 3])
    with pytest.raises(PhenoloomError, match=r"c\.1\.0\.0\.0: expected an index of 68 bytes .* convert it again"):
        store.read([4])


@pytest.mark.parametrize("kept", [0, 10, 500])
def test_a_cut_off_shard_file_is_refused(tmp_path: Path, kept: int) -> None:
    write_store(tmp_path / "a.zarr", some_tiles(4))
    file = tmp_path / "a.zarr/tiles/c.0.0.0.0"
    file.write_bytes(file.read_bytes()[:kept])
    with pytest.raises(PhenoloomError, match=f"cut off file of {kept} bytes"):
        TileStore(tmp_path / "a.zarr").read([0])


def test_a_lost_shard_file_is_not_taken_for_zeros(tmp_path: Path) -> None:
    write_store(tmp_path / "a.zarr", some_tiles(8))
    (tmp_path / "a.zarr/tiles/c.1.0.0.0").unlink()
    with pytest.raises(PhenoloomError, match="expected a shard file, found none"):
        TileStore(tmp_path / "a.zarr").read([7])


def test_a_damaged_tile_is_refused(tmp_path: Path) -> None:
    write_store(tmp_path / "a.zarr", some_tiles(4))
    damage(tmp_path / "a.zarr/tiles/c.0.0.0.0", 0, 99)
    with pytest.raises(PhenoloomError, match="item 0 cannot be decoded"):
        TileStore(tmp_path / "a.zarr").read([0])


def test_a_store_of_another_program_is_refused(tmp_path: Path) -> None:
    group = zarr.create_group(tmp_path / "a.zarr", zarr_format=3)
    group.create_array("tiles", data=some_tiles(), chunks=(4, 1, 8, 6))
    with pytest.raises(PhenoloomError, match="expected a tile store of schema 1, found None"):
        TileStore(tmp_path / "a.zarr")


def test_an_array_with_other_chunks_than_tiles_is_refused(tmp_path: Path) -> None:
    group = zarr.create_group(tmp_path / "a.zarr", zarr_format=3, attributes={"phenoloom": 1})
    group.create_array("tiles", data=some_tiles(), chunks=(4, 1, 8, 6))
    with pytest.raises(PhenoloomError, match="expected tiles with the chunks and codecs of a tile store"):
        TileStore(tmp_path / "a.zarr")


def test_the_content_digest_differs_between_stores_and_not_between_equal_ones(tmp_path: Path) -> None:
    tiles = some_tiles()
    first = write_store(tmp_path / "a.zarr", tiles)
    assert write_store(tmp_path / "b.zarr", tiles.copy()) == first
    tiles[3, 0, 0, 0] += 1
    assert write_store(tmp_path / "c.zarr", tiles) != first


def test_open_files_stay_below_their_limit_and_reads_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = OpenFiles(limit=2)
    monkeypatch.setattr(ShardReader, "_files", files)
    tiles = some_tiles(12)
    write_store(tmp_path / "a.zarr", tiles, per_file=2)
    store = TileStore(tmp_path / "a.zarr")
    rows = RNG.integers(0, 12, 60)
    np.testing.assert_array_equal(store.read(rows, threads=3), tiles[rows])
    assert len(files) == 2
    del store
    assert len(files) == 0


def test_a_store_written_anew_at_the_same_place_is_read_anew(tmp_path: Path) -> None:
    first, second = some_tiles(), some_tiles()
    write_store(tmp_path / "a.zarr", first)
    old = TileStore(tmp_path / "a.zarr")
    old.read([0])
    shutil.rmtree(tmp_path / "a.zarr")
    write_store(tmp_path / "a.zarr", second)
    np.testing.assert_array_equal(TileStore(tmp_path / "a.zarr").read([0]), second[:1])


def test_a_folder_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(PhenoloomError, match=r"cannot be written .* free space"):
        TileWriter(tmp_path / "file" / "a.zarr", Layout((1, 8, 8), np.dtype("u1"), 4, "lz4"))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_an_error_in_a_sentence(tmp_path: Path) -> None:
    with TileWriter(tmp_path / "a.zarr", Layout((2, 8, 12), np.dtype("u2"), 4, "lz4")) as writer:
        encoded = writer.encode(some_tiles(1)[0])
        writer.append(encoded)
        shard = writer._writers["tiles"]
        assert shard._file is not None
        shard._file.close()
        shard._file = Path("/dev/full").open("wb", buffering=0)
        with pytest.raises(PhenoloomError, match=r"cannot be written \(No space left on device\)"):
            writer.append(encoded)
