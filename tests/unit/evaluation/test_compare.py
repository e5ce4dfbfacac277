import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.helpers.studies import made_by

from phenoloom.core.errors import PhenoloomError
from phenoloom.evaluation.compare import Compared, compare, means_of
from phenoloom.evaluation.scores import SCHEMA, WITH_TILE, read_scores

NAMES = ["one", "two", "three"]


def write_scores(path, values, probe="logistic", metric="macro_f1", folds="digest", more=()):
    rows = [("s", path.stem, probe, n, metric, "", "", value, 10) for n, value in enumerate(values)]
    rows += [("s", path.stem, *row, 10) for row in more]
    frame = pd.DataFrame(rows, columns=SCHEMA.names)
    facts = {b"phenoloom": json.dumps({"folds": folds})}
    pq.write_table(pa.Table.from_pandas(frame, SCHEMA, preserve_index=False).replace_schema_metadata(facts), path)
    return path


def write_audit(tmp_path, like, values=(), **choices):
    """Scores of positions, on the folds that a table of scores has."""
    path = write_scores(tmp_path / "position only.parquet", values, folds=read_scores(like)[1]["folds"], **choices)
    return path.rename(tmp_path / "audit.parquet")


def compared(tmp_path, files, names=None, families=None):
    names = names or [file.stem for file in files]
    # The settings reach the step as sorted JSON: no order of a mapping may matter.
    chosen = Compared(names, dict(sorted((families or {}).items())))
    layout = tmp_path / "audit.parquet" if (tmp_path / "audit.parquet").exists() else write_audit(tmp_path, files[0])
    compare(chosen, files, layout, tmp_path / "scores.parquet", tmp_path / "comparisons.parquet", made_by("s"))
    table = pq.read_table(tmp_path / "comparisons.parquet").to_pandas()
    return table.set_index(["kind", "representation", "other"]), pq.read_table(tmp_path / "scores.parquet").to_pandas()


def test_means_and_paired_differences_have_their_closed_form(tmp_path):
    files = [
        write_scores(tmp_path / "one.parquet", [0.5, 0.7, 0.9]),
        write_scores(tmp_path / "two.parquet", [0.4, 0.5, 0.9]),
        write_scores(tmp_path / "three.parquet", [0.6, 0.8, 1.0]),
    ]
    table, scores = compared(tmp_path, files)
    assert table.loc[("mean", "one", ""), "value"] == pytest.approx(0.7)
    assert table.loc[("mean", "one", ""), "sd"] == pytest.approx(0.2)
    assert table.loc[("difference", "one", "two"), "value"] == pytest.approx(0.1)
    assert table.loc[("difference", "one", "two"), "sd"] == pytest.approx(0.1)
    # The folds of one and three differ by the same amount: paired, there is no spread at all.
    assert table.loc[("difference", "one", "three"), "sd"] == pytest.approx(0)
    assert [key[1:] for key in table.index if key[0] == "difference"] == [
        ("one", "two"),
        ("one", "three"),
        ("two", "three"),
    ]
    assert (table["folds"] == 3).all()
    assert scores["representation"].tolist() == np.repeat(NAMES, 3).tolist()


# Two folds of three seeds. Fold means by seed: .5, .6, .7 and .3, .3, .6; seed means by fold: .4, .8 and .3, .5.
DRAWS = {"net": [(0.3, 0.7), (0.4, 0.8), (0.5, 0.9)], "twin": [(0.2, 0.4), (0.2, 0.4), (0.5, 0.7)]}


def draws(tmp_path, seeds, name="net", probe="logistic"):
    names = [f"{name}.seed-{seed}" for seed in seeds]
    files = [
        write_scores(tmp_path / f"{one}.parquet", values, probe) for one, values in zip(names, DRAWS[name], strict=True)
    ]
    return files, dict(zip(names, seeds, strict=True))


def test_a_family_is_averaged_over_seeds_fold_by_fold(tmp_path):
    """Closed form: folds and seeds are two margins of one table, each with a spread of its own."""
    files, members = draws(tmp_path, [2, 10, 1])
    table, _ = compared(tmp_path, files, families={"net": members})
    mean = table.loc[("mean", "net", "")]
    assert mean["value"] == pytest.approx(0.6)
    assert (mean["sd"], mean["folds"]) == (pytest.approx(np.std([0.4, 0.8], ddof=1)), 2)
    assert (mean["sd_seeds"], mean["seeds"]) == (pytest.approx(0.1), 3)
    one = table.loc[("mean", "net.seed-2", "")]
    assert (one["value"], one["seeds"], np.isnan(one["sd_seeds"])) == (pytest.approx(0.5), 1, True)


def test_a_family_is_compared_as_one_with_what_it_is_not(tmp_path):
    files, members = draws(tmp_path, [0, 1, 2])
    first, last = (write_scores(tmp_path / f"{name}.parquet", (0.5, 0.5)) for name in ("first", "last"))
    table, _ = compared(tmp_path, [first, *files, last], families={"net": members})
    pairs = [key[1:] for key in table.index if key[0] == "difference" and "net" in key]
    assert pairs == [("first", "net"), ("net", "last")]
    for pair, sign in zip(pairs, (-1, 1), strict=True):
        found = table.loc[("difference", *pair)]
        assert found["value"] == pytest.approx(sign * 0.1)
        assert (found["sd"], found["folds"]) == (pytest.approx(np.std([-0.1, 0.3], ddof=1)), 2)
        assert (found["sd_seeds"], found["seeds"]) == (pytest.approx(0.1), 3)
    alone = table.loc[("difference", "first", "last")]
    assert (alone["seeds"], np.isnan(alone["sd_seeds"])) == (1, True)


def test_families_of_the_same_seeds_are_paired_seed_by_seed(tmp_path):
    """The trained network is better by .2, .3 and .1; whichever order its seeds are listed in."""
    files, members = draws(tmp_path, [0, 1, 2])
    twins, others = draws(tmp_path, [0, 1, 2], "twin")
    table, _ = compared(tmp_path, [*files, *twins[::-1]], families={"twin": others, "net": members})
    found = table.loc[("difference", "net", "twin")]
    assert found["value"] == pytest.approx(0.2)
    assert found["sd"] == pytest.approx(np.std([0.1, 0.3], ddof=1))
    assert (found["sd_seeds"], found["seeds"]) == (pytest.approx(0.1), 3)
    assert [key[1] for key in table.index if key[0] == "mean"][-2:] == ["net", "twin"]


def test_families_of_other_seeds_are_compared_without_pairing_them(tmp_path):
    files, members = draws(tmp_path, [0, 1, 2])
    twins, others = draws(tmp_path, [0, 1, 3], "twin")
    table, _ = compared(tmp_path, [*files, *twins], families={"net": members, "twin": others})
    found = table.loc[("difference", "net", "twin")]
    assert (found["value"], found["sd"]) == (pytest.approx(0.2), pytest.approx(np.std([0.1, 0.3], ddof=1)))
    assert (found["seeds"], np.isnan(found["sd_seeds"])) == (0, True)


def test_a_seed_without_scores_of_a_probe_is_refused(tmp_path):
    files, members = draws(tmp_path, [0, 1, 2])
    write_scores(files[1], (0.5, 0.5), probe="knn")
    with pytest.raises(PhenoloomError, match=r"net.seed-1 has no macro_f1 of probe logistic on some of the folds"):
        compared(tmp_path, files, families={"net": members})


def test_the_order_is_that_of_the_study_and_not_of_the_files(tmp_path):
    files = [write_scores(tmp_path / f"{name}.parquet", [0.1, 0.2]) for name in ("two", "one")]
    table, scores = compared(tmp_path, files, names=["one", "two"])
    assert scores["representation"].tolist() == ["one", "one", "two", "two"]
    assert ("difference", "one", "two") in table.index


def test_only_scores_of_whole_folds_are_compared_while_all_rows_are_kept(tmp_path):
    more = [("logistic", 0, "f1", "a", "", 0.3), ("logistic", 0, "units_test", "", "", 9.0)]
    files = [write_scores(tmp_path / f"{name}.parquet", [0.1, 0.2], more=more) for name in NAMES]
    table, scores = compared(tmp_path, files)
    assert set(table["metric"]) == {"macro_f1"}
    assert len(scores) == 12


def test_a_probe_that_one_representation_lacks_is_compared_among_the_others(tmp_path):
    more = [("logistic+scale", n, "macro_f1", "", "", 0.5 + n) for n in range(2)]
    files = [write_scores(tmp_path / f"{name}.parquet", [0.1, 0.2], more=more * (name != "two")) for name in NAMES]
    table, _ = compared(tmp_path, files)
    scaled = table[(table["probe"] == "logistic+scale")]
    assert [key for key in scaled.index if key[0] == "difference"] == [("difference", "one", "three")]


def test_scores_of_different_splits_are_refused(tmp_path):
    files = [write_scores(tmp_path / f"{name}.parquet", [0.1], folds=name) for name in ("one", "two")]
    with pytest.raises(PhenoloomError, match=r"two and one were scored on different folds\.parquet \(two, one\)"):
        compared(tmp_path, files)
    assert not (tmp_path / "comparisons.parquet").exists()


def test_a_fold_that_one_representation_lacks_is_refused(tmp_path):
    files = [write_scores(tmp_path / "one.parquet", [0.1, 0.2]), write_scores(tmp_path / "two.parquet", [0.1])]
    with pytest.raises(PhenoloomError, match="two has no macro_f1 of probe logistic on some of the folds"):
        compared(tmp_path, files)


def test_a_missing_or_foreign_table_is_refused(tmp_path):
    files = [write_scores(tmp_path / "one.parquet", [0.1])]
    with pytest.raises(PhenoloomError, match="Scores of one, two are expected, found one"):
        compared(tmp_path, files, names=["one", "two"])


def test_one_fold_has_a_mean_and_no_spread(tmp_path):
    table, _ = compared(tmp_path, [write_scores(tmp_path / "one.parquet", [0.25])])
    assert table.loc[("mean", "one", ""), "value"] == 0.25
    assert np.isnan(table.loc[("mean", "one", ""), "sd"])


def test_a_second_run_writes_the_same_bytes(tmp_path):
    files = [write_scores(tmp_path / f"{name}.parquet", [0.1, 0.2]) for name in NAMES]
    written = []
    for _ in range(2):
        compared(tmp_path, files)
        written.append([(tmp_path / f"{name}.parquet").read_bytes() for name in ("scores", "comparisons")])
    assert written[0] == written[1]


def test_means_are_those_of_the_representations_and_whole_families_that_have_scores(tmp_path):
    files, members = draws(tmp_path, [0, 1, 2])
    table, scores = compared(tmp_path, files, families={"net": members})
    chosen = Compared(["absent", *members], {"net": members, "half": {"absent": 0, **members}})
    found = means_of(scores, chosen).set_index("representation")
    assert found.index.tolist() == [*members, "net"]
    assert found.loc["net", "value"] == table.loc[("mean", "net", ""), "value"]


def test_scores_without_images_come_last_and_are_compared_like_all_others(tmp_path):
    files = [
        write_scores(tmp_path / f"{name}.parquet", values)
        for name, values in (("one", [0.5, 0.7]), ("two", [0.2, 0.4]))
    ]
    write_audit(tmp_path, files[0], [0.9, 0.9])
    table, scores = compared(tmp_path, files, ["one", "two"])
    assert list(dict.fromkeys(scores["representation"])) == ["one", "two", "position only"]
    assert table.loc[("mean", "position only", ""), "value"] == pytest.approx(0.9)
    assert table.loc[("difference", "one", "position only"), "value"] == pytest.approx(-0.3)


def test_an_audit_of_other_folds_is_refused(tmp_path):
    files = [write_scores(tmp_path / "one.parquet", [0.5, 0.7])]
    write_scores(tmp_path / "audit.parquet", [0.9, 0.9], folds="another")
    with pytest.raises(PhenoloomError, match="the plate layout and one were scored on different folds"):
        compared(tmp_path, files, ["one"])


def test_a_study_without_scores_has_tables_without_rows_that_say_why(tmp_path):
    files = []
    for name in (*NAMES, "audit"):
        files.append(write_scores(tmp_path / f"{name}.parquet", []))
        table = pq.read_table(files[-1])
        facts = {b"phenoloom": json.dumps({"folds": "digest", "unscored": "no object has a label"})}
        pq.write_table(table.replace_schema_metadata(facts), files[-1])
    table, scores = compared(tmp_path, files[:-1])
    assert len(table) == len(scores) == 0
    for name in ("scores", "comparisons"):
        assert read_scores(tmp_path / f"{name}.parquet")[1]["unscored"] == "no object has a label"


def test_two_that_were_tested_on_different_units_are_compared_on_those_that_both_can_see(tmp_path):
    """The tiles lost the hard objects: their score is higher, but on what both were tested on it is lower."""

    def tested(name, whole, common, units):
        both = [("logistic", fold, f"macro_f1{WITH_TILE}", "", "", value) for fold, value in enumerate(common)]
        counts = [("logistic", fold, "units_test", "", "", units) for fold in range(2)]
        return write_scores(tmp_path / f"{name}.parquet", whole, more=[*both, *counts])

    files = [
        tested("tiles", (0.8, 0.8), (0.8, 0.8), 10.0),
        tested("outlines", (0.6, 0.7), (0.9, 1.0), 30.0),
        tested("others", (0.5, 0.5), (0.1, 0.1), 30.0),
    ]
    table, _ = compared(tmp_path, files)
    assert table.loc[("difference", "tiles", "outlines"), "value"] == pytest.approx(-0.15)
    # Both of these were tested on all units, and are compared on all.
    assert table.loc[("difference", "outlines", "others"), "value"] == pytest.approx(0.15)
    assert table.loc[("mean", "outlines", ""), "value"] == pytest.approx(0.65)


def with_tiles(path, whole, common, supports, units):
    """Scores of all units of each fold, `units` of them, and of those with a tile, `supports` of them."""
    rows = [("units_test", fold, value, value) for fold, value in enumerate(units)]
    rows += [("macro_f1", fold, value, 10) for fold, value in enumerate(whole)]
    rows += [
        (f"macro_f1{WITH_TILE}", fold, value, n) for (fold, value), n in zip(common.items(), supports, strict=True)
    ]
    frame = pd.DataFrame(
        [("s", path.stem, "logistic", fold, metric, "", "", value, n) for metric, fold, value, n in rows],
        columns=SCHEMA.names,
    )
    table = pa.Table.from_pandas(frame, SCHEMA, preserve_index=False)
    pq.write_table(table.replace_schema_metadata({b"phenoloom": json.dumps({"folds": "digest"})}), path)
    return path


def test_as_many_but_other_units_are_compared_on_those_with_a_tile(tmp_path):
    """Three objects are too large for a tile, and three others have no outline: both were tested on 27 of 30."""
    files = [
        with_tiles(tmp_path / "tiles.parquet", (0.8, 0.8), {0: 0.8, 1: 0.8}, (27, 27), (27, 27)),
        with_tiles(tmp_path / "outlines.parquet", (0.6, 0.7), {0: 0.9, 1: 1.0}, (24, 24), (27, 27)),
    ]
    table, _ = compared(tmp_path, files)
    assert table.loc[("difference", "tiles", "outlines"), "value"] == pytest.approx(-0.15)


def test_a_fold_without_any_unit_with_a_tile_is_left_out_of_differences_on_those(tmp_path):
    files = [
        with_tiles(tmp_path / "outlines.parquet", (0.6, 0.7), {1: 0.9}, (24,), (30, 30)),
        with_tiles(tmp_path / "less.parquet", (0.6, 0.7), {1: 0.5}, (20,), (26, 26)),
        with_tiles(tmp_path / "as-many.parquet", (0.4, 0.4), {1: 0.1}, (24,), (30, 30)),
    ]
    table, _ = compared(tmp_path, files)
    different, alike = table.loc[("difference", "outlines", "less")], table.loc[("difference", "outlines", "as-many")]
    assert (different["value"], different["folds"]) == (pytest.approx(0.4), 1)
    assert (alike["value"], alike["folds"]) == (pytest.approx(0.25), 2)
