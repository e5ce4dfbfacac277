"""What jobs ask for. Rules say what the work needs; what the site wants (partition, account, kind of GPU) is in profiles."""

import os

# The Snakemakes that a cluster runs around a job live in the job's memory.
WRAPPERS_MB = 300


def grows(base, per_input_mb=0.0):
    """MB or minutes: `base`, more for each MB of input, and twice as much with each attempt.

    Input that is not there yet counts as nothing: it comes from another job of the same group.
    """

    def amount(wildcards, input, attempt):
        input_mb = (
            sum(os.stat(path).st_size for path in input if os.path.isfile(path)) / 1e6
            if per_input_mb
            else 0.0
        )
        return int((base + per_input_mb * input_mb) * 2 ** (attempt - 1))

    return amount


def memory(base_mb, per_input_mb=0.0):
    """MB of a job: what its process needs, and the Snakemakes around it."""
    need = grows(base_mb, per_input_mb)

    def amount(wildcards, input, attempt):
        return WRAPPERS_MB + need(wildcards, input, attempt)

    return amount


def get_probe_group(wildcards):
    """Descriptors are embedded in a second or two: on a cluster their probes run in the same job."""
    entry = STUDIES[wildcards.study].representations[wildcards.representation]
    return "probe" if entry.descriptors else None
