"""The tile store: crop images into tiles, measure them, write and read them."""
