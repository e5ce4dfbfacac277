"""Trained networks as files: checkpoints with their cards, cost, standalone encoders, export."""
