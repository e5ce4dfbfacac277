"""The results folder: where each file lies, manifests, facts of Parquet tables, provenance, scratch copies."""
