from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import balanced_accuracy_score
from tests.helpers.studies import StudyOnDisk, shape_settings
from tests.helpers.training import train

from phenoloom.evaluation.probes import FeatureBlock, ProbeSettings, probe
from phenoloom.training.monitors import (
    MOST_REFERENCES,
    choose_sample,
    effective_rank,
    measure,
    neighbour_accuracy,
    spread,
)


def with_singular_values(values: list[float], n: int, d: int) -> torch.Tensor:
    """Vectors (n, d) about a mean of zero with these singular values."""
    generator = torch.Generator().manual_seed(0)
    # Orthonormal columns that are orthogonal to a constant: their mean is zero.
    left = torch.linalg.qr(torch.cat([torch.ones(n, 1), torch.randn(n, len(values), generator=generator)], 1))[0][:, 1:]
    right = torch.linalg.qr(torch.randn(d, len(values), generator=generator))[0]
    return (left.double() * torch.tensor(values).double()) @ right.T.double()


@pytest.mark.parametrize("shape", [(40, 8), (8, 40)], ids=["many", "few"])
@pytest.mark.parametrize("values", [[1.0], [2.0, 2.0, 2.0], [3.0, 1.0], [10.0, 5.0, 1.0, 0.1]])
def test_the_effective_rank_is_the_exponential_of_the_entropy_of_singular_values(
    values: list[float], shape: tuple[int, int]
) -> None:
    share = np.array(values) / sum(values)
    expected = np.exp(-(share * np.log(share)).sum())
    assert effective_rank(with_singular_values(values, *shape)) == pytest.approx(expected, rel=1e-4)


@given(st.floats(1e-3, 1e3), st.floats(-10, 10))
def test_scale_rotation_and_shift_leave_the_effective_rank(scale: float, shift: float) -> None:
    generator = torch.Generator().manual_seed(3)
    vectors = torch.randn(30, 6, generator=generator) * torch.tensor([5.0, 1, 1, 1, 0.5, 0.1])
    turn = torch.linalg.qr(torch.randn(6, 6, generator=generator))[0]
    assert effective_rank(scale * (vectors @ turn + shift)) == pytest.approx(effective_rank(vectors), rel=1e-3)


def test_equal_vectors_have_no_rank_and_no_spread_whatever_the_rounding() -> None:
    vectors = torch.randn(1, 16, generator=torch.Generator().manual_seed(0)).expand(50, -1).clone()
    vectors[::2] = torch.nextafter(vectors[::2], torch.tensor(torch.inf))
    assert effective_rank(vectors) == 0.0
    assert effective_rank(torch.zeros(5, 3)) == 0.0
    assert spread(vectors) < 1e-6


def test_the_spread_is_one_where_all_dimensions_vary_alike_and_shrinks_with_those_that_do_not() -> None:
    d = 8
    corners = torch.cat([torch.eye(d), -torch.eye(d)])
    assert spread(corners) == pytest.approx(1.0)
    # One dimension of eight, of unit vectors: its sd is 1, the others' 0.
    line = torch.zeros(10, d)
    line[:, 0] = torch.tensor([1.0, -3.0] * 5)
    assert spread(line) == pytest.approx(1 / np.sqrt(d))
    assert spread(corners + 100) < 0.01


def blobs(per_class: list[int], distance: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    codes = np.repeat(np.arange(len(per_class)), per_class)
    centres = distance * np.eye(len(per_class), 4)
    return (generator.normal(size=(len(codes), 4)) + centres[codes]).astype(np.float32), codes


def test_neighbours_distinguish_classes_that_lie_apart_and_guess_those_that_do_not() -> None:
    for distance, low, high in ((20.0, 1.0, 1.0), (0.0, 0.2, 0.5)):
        values, codes = blobs([100, 100, 100], distance, 0)
        order = np.random.default_rng(1).permutation(300)
        accuracy = neighbour_accuracy(torch.from_numpy(values[order]), codes[order], 150)
        assert low <= accuracy <= high


def test_the_accuracy_is_balanced_and_skips_classes_that_no_reference_has() -> None:
    references = np.array([[0.0, 1], [0, 1.1], [0, 0.9]] * 3 + [[1.0, 0], [1.1, 0], [0.9, 0]] * 3, np.float32)
    queries = np.array([[0, 1]] * 9 + [[0, 1]] + [[1, 0]] * 5, np.float32)
    # Nine of class 0 are recognised, the only one of class 1 is not; class 2 was never seen.
    targets = np.array([0] * 9 + [1] * 9 + [0] * 9 + [1] + [2] * 5)
    assert neighbour_accuracy(torch.from_numpy(np.concatenate([references, queries])), targets, 18) == 0.5


def test_neighbours_are_those_of_the_probe() -> None:
    for labels in (1, 3):
        values, codes = blobs([40, 60, 80], 1.0, labels)
        flags = np.stack([codes == 0, codes < 2, codes > 0], 1)
        targets = codes if labels == 1 else flags
        order = np.random.default_rng(labels).permutation(180)
        values, targets = values[order], targets[order]
        settings = ProbeSettings(5, trees=1, seed=0, blocks=(FeatureBlock(values.shape[1], reduce=False),))
        predicted = probe("knn", values[:100], targets[:100], values[100:], settings).labels
        true = targets[100:]
        if labels == 1:
            expected = balanced_accuracy_score(true, predicted)
        else:
            expected = np.mean([balanced_accuracy_score(t, p) for t, p in zip(true.T, predicted.T, strict=True)])
        found = neighbour_accuracy(torch.from_numpy(values), targets, 100)
        assert found == pytest.approx(expected, abs=1e-12)
        assert 0.5 < found < 0.95


def test_several_labels_are_predicted_one_by_one() -> None:
    values, codes = blobs([60, 60], 20.0, 2)
    flags = np.stack([codes == 0, codes == 1, np.ones(120, bool)], 1)
    order = np.random.default_rng(3).permutation(120)
    assert neighbour_accuracy(torch.from_numpy(values[order]), flags[order], 80) == 1.0


def test_the_sample_is_fixed_by_its_seed_and_keeps_to_its_side() -> None:
    train, held = np.arange(0, 20000, 2), np.arange(1, 4000, 2)
    sample = choose_sample(train, held, None, 5)
    again, other = choose_sample(train, held, None, 5), choose_sample(train, held, None, 6)
    assert np.array_equal(sample.rows, again.rows)
    assert not np.array_equal(sample.rows, other.rows)
    assert (len(sample.references), len(sample.queries)) == (MOST_REFERENCES, 512)
    assert (sample.references % 2 == 0).all()
    assert (sample.queries % 2 == 1).all()
    assert len(choose_sample(train[:200], held, None, 5).references) == 64


@pytest.mark.parametrize(
    ("labels", "measured"),
    [
        (["a", "b"] * 4, True),
        (["a", "b", "a", "b", "a", "a", "a", "a"], False),  # one class is held out
        (["a", "a", "a", "a", "a", "b", "a", "b"], False),  # one class was trained on
        ([None] * 8, False),
        (["a", "b", None, None, "a", "b", None, None], True),
        ([["a"], ["a", "b"], ["b"], ["a"], ["a"], ["b"], ["a", "b"], []], True),
    ],
)
def test_neighbours_are_measured_where_two_classes_can_be_compared(labels: list[object], measured: bool) -> None:
    sample = choose_sample(np.arange(4), np.arange(4, 8), labels, 0)
    assert (sample.targets is not None) == measured
    vectors = torch.randn(8, 4, generator=torch.Generator().manual_seed(0))
    figures = measure(sample, vectors)
    assert set(figures) == {"embedding_spread", "effective_rank"} | ({"knn_accuracy"} if measured else set())
    if measured:
        assert 0 <= figures["knn_accuracy"] <= 1


def test_rows_without_a_label_are_no_neighbours() -> None:
    labels = ["a", "a", "b", "b", None, None, "a", "b"]
    sample = choose_sample(np.arange(6), np.arange(6, 8), labels, 0)
    vectors = torch.tensor([[1.0, 0], [1.0, 0.1], [-1.0, 0], [-1.0, 0.1], [5.0, 5], [5.0, 6], [1.0, 0], [-1.0, 0]])
    without = torch.tensor([[1.0, 0], [1.0, 0.1], [-1.0, 0], [-1.0, 0.1], [-9.0, 5], [3.0, -6], [1.0, 0], [-1.0, 0]])
    assert measure(sample, vectors)["knn_accuracy"] == measure(sample, without)["knn_accuracy"]


def test_neighbours_of_held_out_groups_are_measured_and_never_those_of_test_groups(tmp_path: Path) -> None:
    settings = shape_settings(training={"validation_fraction": 0.5, "epochs": 2})
    clean, soiled = (StudyOnDisk(tmp_path / name, wells=16, per_well=6) for name in ("clean", "soiled"))
    for row in soiled.rows:
        if int(row["well"][1:]) % 4 == 0:
            row["label"] = "nonsense"
    pq.write_table(pa.Table.from_pylist(soiled.rows), soiled.index)
    assert train(settings, clean, tmp_path / "a") == train(settings, soiled, tmp_path / "b")
    accuracy = pd.read_csv(tmp_path / "a" / "metrics.csv")["knn_accuracy"]
    assert accuracy.between(0, 1).all()
    for row in soiled.rows:
        row["label"] = None
    table = pa.Table.from_pylist(soiled.rows)
    unlabelled = table.set_column(table.schema.get_field_index("label"), "label", pa.nulls(len(table), pa.string()))
    pq.write_table(unlabelled, soiled.index)
    without = train(settings, soiled, tmp_path / "c")
    assert "knn_accuracy" not in pd.read_csv(tmp_path / "c" / "metrics.csv")
    # Labels are reported on, and never learned from.
    assert without["model.safetensors"] == (tmp_path / "a" / "model.safetensors").read_bytes()
