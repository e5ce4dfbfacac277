from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from phenoloom.core.errors import PhenoloomError
from phenoloom.tiles.shard_file import BITS, BYTES, LEVELS, Layout, ShardReader, ShardWriter, better_shuffle, read_index

RNG = np.random.default_rng(0)


def test_bits_are_shuffled_where_blosc_can_and_bytes_elsewhere() -> None:
    """Camera noise in the low bits of 16: bit planes compress it, whole bytes do not."""
    noise = (1024 + RNG.integers(0, 16, (4, 136, 136))).astype(np.uint16)
    even, odd = (Layout((4, size, size), noise.dtype, 8, "lz4", BITS) for size in (136, 135))
    assert even.blosc["shuffle"] == BITS
    # 4 of 16 bits are noise.
    assert len(even.encode(noise)) < 0.27 * noise.nbytes
    assert Layout((1, 135, 135), noise.dtype, 8, "lz4", BITS).blosc["shuffle"] == BYTES
    assert len(odd.encode(noise[:, :135, :135])) < 0.6 * even.nbytes


def test_bits_are_shuffled_only_where_that_saves_enough() -> None:
    """12 bits in the upper ones of 16 leave four empty planes; where the low byte is all noise there is none."""
    full = RNG.integers(0, 4096, (3, 64, 65)).astype(np.uint16)
    assert better_shuffle(full << 4, "lz4") == BITS
    whole_bytes = RNG.integers(0, 256, (3, 64, 65)).astype(np.uint16)
    for sample in (whole_bytes, whole_bytes.astype(np.uint8), whole_bytes[:1, :1, :3]):
        for compression in LEVELS:
            assert better_shuffle(sample, compression) == BYTES


def test_archives_take_the_smaller_way_whatever_it_costs_to_read() -> None:
    """One plane of 32 has long runs, which no code of bytes can see: bits save a little less than 1/32."""
    runs = (np.arange(1 << 16, dtype=np.uint32) // 512 % 2) << 31
    sample = RNG.integers(0, 1 << 31, 1 << 16, dtype=np.uint32) | runs
    assert better_shuffle(sample, "zstd") == BITS
    assert better_shuffle(sample, "lz4") == BYTES


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_blosc_knows_the_size_of_an_element(dtype: str) -> None:
    layout = Layout((2, 8, 8), np.dtype(dtype), 4, "lz4")
    header = layout.encode(RNG.integers(0, 100, (2, 8, 8)).astype(dtype))[:4]
    assert header[3] == np.dtype(dtype).itemsize == layout.blosc["typesize"]


def test_items_fill_files_and_the_index_says_where_each_one_lies(tmp_path: Path) -> None:
    items = RNG.integers(0, 100, (5, 3, 4)).astype(np.uint16)
    layout = Layout((3, 4), items.dtype, 2, "lz4")
    encoded = [layout.encode(item) for item in items]
    writer = ShardWriter(tmp_path / "tiles", layout)
    writer.extend(encoded)
    writer.finish_file()
    assert sorted(path.name for path in (tmp_path / "tiles").iterdir()) == ["c.0.0.0", "c.1.0.0", "c.2.0.0"]
    with (tmp_path / "tiles" / "c.0.0.0").open("rb") as file:
        index = read_index(file, layout, tmp_path)
    assert index.tolist() == [[0, len(encoded[0])], [len(encoded[0]), len(encoded[1])]]
    out = np.empty((3, 3, 4), np.uint16)
    ShardReader(tmp_path / "tiles", items.shape, layout).read(np.array([4, 0, 3]), out)
    np.testing.assert_array_equal(out, items[[4, 0, 3]])


def test_an_item_that_was_never_written_is_no_item_of_zeros(tmp_path: Path) -> None:
    layout = Layout((3, 4), np.dtype(np.uint16), 2, "lz4")
    writer = ShardWriter(tmp_path / "tiles", layout)
    writer.extend([layout.encode(np.ones((3, 4), np.uint16))])
    writer.finish_file()
    with pytest.raises(PhenoloomError, match="item 1 was never written"):
        ShardReader(tmp_path / "tiles", (2, 3, 4), layout).read(np.array([1]), np.empty((1, 3, 4), np.uint16))
