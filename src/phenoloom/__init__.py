"""Microscopy studies to self-supervised embeddings that can be trusted."""
