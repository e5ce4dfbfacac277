"""Outlines of objects: contours, distance matrices, classical shape descriptors, and their store."""
