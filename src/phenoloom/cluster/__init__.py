"""Runs on a cluster: SLURM, the state of a run, the cost of a run before it starts."""
