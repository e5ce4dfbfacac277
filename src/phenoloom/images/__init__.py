"""One image in memory: file formats, projection of stacks, label images, thresholds, objects."""
