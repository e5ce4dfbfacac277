"""Stores to batches: sources of tiles and contours, the loader, and channels."""
