"""Vectors: compute them for every row of a study or for new images, store, read and collect them."""
