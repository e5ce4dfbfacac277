"""Memory, time, threads and groups of jobs; where they run is in hardware.smk, and what a site wants in profiles."""

from phenoloom.cluster import demands


def grows(base, per_mb=0.0, *tables, inputs=sum, fixed=0):
    """Return the function that gives MB or minutes: they grow with the inputs, and double with each attempt.

    See `Growing`; `fixed` is added whatever the attempt.
    """
    growing = demands.Growing(base, per_mb, tables, inputs)

    def amount(wildcards, input, attempt):
        return fixed + growing.amount(wildcards.study, input, attempt)

    return signed(amount)


def memory(base_mb, per_mb=0.0, *tables, inputs=sum):
    """Return the function that gives a job's MB: those of its process, and of the Snakemakes around it."""
    return grows(base_mb, per_mb, *tables, inputs=inputs, fixed=demands.WRAPPERS_MB)


def image_memory(rule):
    """Return the function that gives the MB of a step that reads whole images: what the largest of its shard needs."""

    def amount(wildcards, input, attempt, threads):
        sheet = str(FOLDER.sheet_manifest).format(study=wildcards.study)
        study = STUDIES[wildcards.study]
        asked = demands.image_mb(study, rule, sheet, wildcards.shard, threads)
        return demands.WRAPPERS_MB + asked * 2 ** (attempt - 1)

    return signed(amount)


def preparing(apart):
    """Return the function that gives the group of a step from the raw data to the folds."""
    return signed(
        lambda wildcards: demands.preparation_group(STUDIES[wildcards.study], apart)
    )


def preparation_time(minutes):
    """Return the function that gives the minutes of such a step.

    In one group they ask for the sum: with a third each for five hours, then ten and twenty.
    """
    whole, share = grows(minutes), grows(minutes / 3)

    def amount(wildcards, input, attempt):
        asked = share if STUDIES[wildcards.study].shards == 1 else whole
        return asked(wildcards, input, attempt)

    return signed(amount)


@signed
def get_split_group(wildcards):
    """Return the group of index and folds."""
    return demands.split_group(STUDIES[wildcards.study])


@signed
def get_probe_group(wildcards):
    """Return the group of an embedding and of probes on it."""
    return demands.embedding_group(INPUTS[wildcards.study], wildcards.representation)


@signed
def get_probe_threads(wildcards, input):
    """Return the threads of probes."""
    return demands.probe_threads(STUDIES[wildcards.study].folds.count, input)


ALONE, BESIDE_OTHERS = memory(3000, 10, INDEX), memory(1000, 20, INDEX)
LONG, SHORT = grows(480), grows(240)


@signed
def get_embed_memory(wildcards, input, attempt):
    """Return the MB of an embedding: less where several run in one job, and more of it with the rows."""
    beside_others = demands.embeds_beside_others(
        INPUTS[wildcards.study], wildcards.representation
    )
    need = BESIDE_OTHERS if beside_others else ALONE
    return need(wildcards, input, attempt)


@signed
def get_embed_runtime(wildcards, input, attempt):
    """Return the minutes of an embedding: half in a group with probes, whose time is added."""
    need = SHORT if get_probe_group(wildcards) else LONG
    return need(wildcards, input, attempt)
