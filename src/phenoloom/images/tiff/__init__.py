"""TIFF, BigTIFF and OME-TIFF: which pages a study reads, and the pixels of a page."""
