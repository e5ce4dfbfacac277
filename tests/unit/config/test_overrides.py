"""`KEY=VALUE` pairs mean what they mean to Snakemake."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from snakemake.cli import parse_config

from phenoloom.config import read_config
from phenoloom.config.overrides import parsed
from phenoloom.core.errors import PhenoloomError

VALUES = st.one_of(
    st.text(),
    st.integers().map(str),
    st.floats(allow_nan=False).map(str),
    st.sampled_from(
        ["True", "False", "true", "null", "", "[a,b]", "[1, 2]", "{a: b}", "'x'", '"[a]"', "$TMPDIR", "a=b"]
    ),
)


@given(st.lists(st.tuples(st.sampled_from(["studies", "data_root", "results"]), VALUES), max_size=3))
def test_pairs_are_read_as_snakemake_reads_them(pairs: list[tuple[str, str]]) -> None:
    texts = [f"{key}={value}" for key, value in pairs]
    try:
        expected = parse_config(texts)
    except AssertionError:  # Snakemake stops at text that is null in YAML
        return
    assert parsed(texts) == expected


def test_every_key_of_the_configuration_can_be_replaced(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("studies: [demo]\ndata_root: here\n")
    pairs = ["studies=[a,b]", "data_root=/data", "results=out", "scratch=$TMPDIR", "container=x.sif"]
    config = read_config(tmp_path, [*pairs, "gpu_environment=False"])
    assert config.studies == ["a", "b"]
    assert (config.data_root, config.results, config.scratch, config.container) == ("/data", "out", "$TMPDIR", "x.sif")
    assert config.gpu_environment is False
    assert read_config(tmp_path).data_root == "here"


@pytest.mark.parametrize(
    ("pair", "sentence"),
    [
        ("demo", "--config takes pairs such as data_root=/data or studies=[demo], found 'demo'"),
        ("data_rot=x", "with --config: unknown key `data_rot`; did you mean 'data_root'?"),
    ],
)
def test_other_words_are_refused_with_a_sentence(tmp_path: Path, pair: str, sentence: str) -> None:
    (tmp_path / "config.yaml").write_text("studies: [demo]\n")
    with pytest.raises(PhenoloomError) as error:
        read_config(tmp_path, [pair])
    assert sentence in str(error.value)
