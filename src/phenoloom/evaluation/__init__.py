"""Scores of frozen vectors: probes, cross-validation, transfer between studies, comparison."""
