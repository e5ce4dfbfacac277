"""Random changes of tiles and contours, in batches on the device."""
