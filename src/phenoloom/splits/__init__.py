"""The one split that all representations of a study share: folds, roles of rows, units, duplicates."""
