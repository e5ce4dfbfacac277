"""What jobs ask for. Rules say what the work needs; what the site wants (partition, account, kind of GPU) is in profiles."""

import os
import shlex

from snakemake.settings.types import DeploymentMethod

# The Snakemakes that a cluster runs around a job live in the job's memory.
WRAPPERS_MB = 300

# Embeddings that one job may hold: they run at once, and ask for the memory and the threads of all of them.
EMBEDDINGS_A_JOB = 10

# With more shards a job that waits for all of them has more to do than seconds, and needs no company; and each shard that
# is done makes Snakemake count all that a group waits for: of a thousand shards a million times.
SHARDS_A_GROUP = 100


# Probes of less are done in seconds, and need no thread for each fold.
MANY_VECTORS_MB = 100


def sizes_mb(paths):
    """MB of each file. What is not there yet counts as nothing: it comes from another job of the same group."""
    return [os.stat(path).st_size / 1e6 for path in paths if os.path.isfile(path)]


def grows(base, per_input_mb=0.0, *tables, inputs=sum):
    """MB or minutes: `base`, more for each MB of input, and twice as much with each attempt.

    `tables` of the study are read without being input. `inputs` says how the sizes of inputs count: all together, or of
    what is read one after another the largest (`max`); None: not at all.
    """

    def amount(wildcards, input, attempt):
        read_mb = 0.0
        if per_input_mb:
            read_mb += sum(
                sizes_mb(table.format(study=wildcards.study) for table in tables)
            )
            read_mb += inputs([0.0, *sizes_mb(input)]) if inputs else 0.0
        return int((base + per_input_mb * read_mb) * 2 ** (attempt - 1))

    return signed(amount)


def memory(base_mb, per_input_mb=0.0, *tables, inputs=sum):
    """MB of a job: what its process needs, and the Snakemakes around it."""
    need = grows(base_mb, per_input_mb, *tables, inputs=inputs)

    def amount(wildcards, input, attempt):
        return WRAPPERS_MB + need(wildcards, input, attempt)

    return signed(amount)


def preparing(apart):
    """Group of a step from the raw data to the folds: `apart`, or in a study of one shard that of all such steps.

    Each of them takes seconds in a small study, and a cluster job costs seconds itself. The price: where one step fails
    for good, Snakemake deletes what the others of its group have made, of one shard.
    """

    def group(wildcards):
        return "prepare" if STUDIES[wildcards.study].shards == 1 else apart

    return signed(group)


def get_split_group(wildcards):
    """Group of index and folds."""
    shards = STUDIES[wildcards.study].shards
    if shards == 1:
        return "prepare"
    return "split" if shards <= SHARDS_A_GROUP else None


def preparation_time(minutes):
    """Time of such a step. In one group they ask for the sum: with a third each for five hours, then ten and twenty."""
    whole, share = grows(minutes), grows(minutes / 3)

    def amount(wildcards, input, attempt):
        asked = share if STUDIES[wildcards.study].shards == 1 else whole
        return asked(wildcards, input, attempt)

    return signed(amount)


def follows_contours(wildcards):
    """Whether a representation's model goes along the contour: a processor embeds a thousand of them a second."""
    entry = STUDIES[wildcards.study].representations[wildcards.representation]
    return bool(entry.model) and (
        get_model(wildcards.study, entry.model).encoder == "cyclic-resnet"
    )


def get_probe_group(wildcards):
    """What is embedded in seconds: on a cluster all folds of a representation and its probes are one job.

    They belong together anyway: the probes wait for all folds. `--group-components`, which would put folds of different
    models and studies into one job, makes them wait for each other's trainings. What is concatenated is apart from its
    parts, one of which may be trained for days.
    """
    study = STUDIES[wildcards.study]
    entry = study.representations[wildcards.representation]
    if len(splits(study, wildcards.representation)) > EMBEDDINGS_A_JOB:
        return None
    if entry.concatenate:
        return "concatenate"
    if entry.descriptors:
        return "probe" if study.shards <= SHARDS_A_GROUP else None
    return "probe" if follows_contours(wildcards) else None


ALONE, BESIDE_OTHERS = memory(3000, 10, INDEX), memory(1000, 20, INDEX)
LONG, SHORT = grows(480), grows(240)


def get_probe_threads(wildcards, input):
    """Threads of probes: one a fold where there is work for them, since folds are scored side by side."""
    many = sum(sizes_mb(input)) > MANY_VECTORS_MB
    return STUDIES[wildcards.study].folds.count if many else 1


def get_embed_memory(wildcards, input, attempt):
    """MB of an embedding: fewer where several run in one job, and more of them with the rows."""
    several = len(splits(STUDIES[wildcards.study], wildcards.representation)) > 1
    need = BESIDE_OTHERS if several and get_probe_group(wildcards) else ALONE
    return need(wildcards, input, attempt)


def get_embed_runtime(wildcards, input, attempt):
    """Minutes of an embedding: half in a group with probes, whose time is added."""
    need = SHORT if get_probe_group(wildcards) else LONG
    return need(wildcards, input, attempt)


def get_training_threads(wildcards):
    """Threads of a task: of a process, or of all of them where the first starts the others."""
    training = get_training(wildcards)
    return training.threads * (training.devices if training.nodes == 1 else 1)


def get_site(name):
    """A value of the profile's `default-resources`; None where it has none."""
    resource = workflow.resource_settings._parsed_default_resources.get(name)
    if resource is not None and resource.is_evaluable():
        resource = resource.evaluate(
            {}, input=[], attempt=1, threads=1, rulename=name, async_run=None
        )
    return None if resource is None else resource.value


def get_partition(on_gpu):
    """Jobs with a GPU may have a partition of their own."""
    return (on_gpu and get_site("gpu_partition")) or get_site("slurm_partition")


def get_training_partition(wildcards):
    """Where models train."""
    return get_partition(get_training(wildcards).accelerator != "cpu")


def get_embed_partition(wildcards):
    """Where models embed; what needs no GPU goes where all else goes."""
    return get_partition(get_embed_gpus(wildcards) is not None)


def get_gpu_model(wildcards):
    """The type of the GPU of a training on one node, where the site wants it named."""
    return get_site("gpu_kind") if get_gpus(wildcards) else None


def get_embed_gpu_model(wildcards):
    """The type of the GPU that embeds."""
    return get_site("gpu_kind") if get_embed_gpus(wildcards) else None


def get_gpus(wildcards):
    """GPUs of a job on one node."""
    training = get_training(wildcards)
    wanted = training.accelerator != "cpu" and training.nodes == 1
    return training.devices if wanted else None


def get_gpus_per_node(wildcards):
    """GPUs of each node of a job on several: a sum over nodes could be placed unevenly."""
    training = get_training(wildcards)
    wanted = training.accelerator != "cpu" and training.nodes > 1
    kind = get_site("gpu_kind")
    return (
        ":".join(["gpu", *([kind] if kind else []), str(training.devices)])
        if wanted
        else None
    )


def get_tasks(wildcards):
    """Processes that srun starts."""
    training = get_training(wildcards)
    return training.nodes * training.devices if training.nodes > 1 else None


def get_nodes(wildcards):
    """Nodes of a job on several; one is not asked for."""
    nodes = get_training(wildcards).nodes
    return nodes if nodes > 1 else None


def get_mpi(wildcards):
    """What the executor starts a job on several nodes with."""
    return "srun" if get_nodes(wildcards) else None


def get_tasks_per_gpu(wildcards):
    """GPUs of several nodes are asked for by node."""
    return 0 if get_nodes(wildcards) else None


def get_launcher(wildcards):
    """What stands before the command: nothing much, or srun, which ends all processes when one fails."""
    training = get_training(wildcards)
    if training.nodes == 1:
        return "env"
    if DeploymentMethod.APPTAINER in workflow.deployment_settings.deployment_method:
        raise WorkflowError(
            f"model {wildcards.model} trains on {training.nodes} nodes (training.nodes), and srun, which starts it there, "
            "is not in the container; run without `--sdm apptainer`, or set training.nodes to 1"
        )
    return (
        f"srun --nodes={training.nodes} --ntasks-per-node={training.devices} --cpus-per-task={training.threads} "
        "--kill-on-bad-exit=1"
    )


def get_placement(wildcards):
    """Options that say where the model trains, and how, as far as no result depends on it."""
    training = get_training(wildcards)
    # What a search has chosen is input, and this says no more than where it lies.
    chosen = "".join(
        f" --chosen {shlex.quote(path)}" for path in get_chosen(wildcards).values()
    )
    return f"--nodes {training.nodes} --devices {training.devices} {get_trial_placement(wildcards)}{chosen}"


def get_trial_placement(wildcards):
    """The same of a trial of a search, which trains in one process."""
    training = get_training(wildcards)
    floors = training.collapse
    flags = "".join(
        f" --{name.replace('_', '-')}"
        for name in ("compile", "gradient_checkpointing")
        if getattr(training, name)
    )
    return (
        f"--accelerator {training.accelerator}{flags} "
        f"--collapse-epochs {floors.epochs} --least-rank {floors.least_rank} --least-spread {floors.least_spread} "
        f"--least-information {floors.least_information}"
    )


def get_trial_gpus(wildcards):
    """The GPU of a trial."""
    return None if get_training(wildcards).accelerator == "cpu" else 1


def get_trial_gpu_model(wildcards):
    """The type of that GPU, where the site wants it named."""
    return get_site("gpu_kind") if get_trial_gpus(wildcards) else None


def get_embed_gpus(wildcards):
    """A GPU for vectors of a network; descriptors need none, nor do networks along the contour."""
    entry = STUDIES[wildcards.study].representations[wildcards.representation]
    if entry.model is None or follows_contours(wildcards):
        return None
    training = get_model(wildcards.study, entry.model).training
    return 1 if training.accelerator != "cpu" else None


# The option for a disk of the node's own; its variables are replaced on the node.
STAGING = f"--scratch={shlex.quote(CONFIG.scratch)}"


def get_environment(on_gpu):
    """The conda environment with torch's build for the device."""
    device = "gpu" if on_gpu and CONFIG.gpu_environment else "cpu"
    return f"../../envs/{device}.yaml"


def get_training_environment(wildcards):
    """Only a model that may train on a GPU needs torch's build for it."""
    return get_environment(get_training(wildcards).accelerator != "cpu")


def get_embed_environment(wildcards):
    """Only what embeds on a GPU needs torch's build for it."""
    return get_environment(get_embed_gpus(wildcards) is not None)


for value in list(globals().values()):
    if inspect.isfunction(value) and value.__code__.co_filename.endswith(".smk"):
        signed(value)
