rule tune:
    input:
        unpack(inputs_of("tune")),
    # The journal that all workers write and the states of their trainings lie beside this in undeclared files:
    # Snakemake deletes the declared outputs of a job that failed.
    output:
        FOLDER.search("{model}", "{split}").worker("{worker}"),
    log:
        log_of("tune", "model", "split", "worker"),
    benchmark:
        benchmark_of("tune", "model", "split", "worker")
    conda:
        environment_of(get_training_hardware)
    threads: threads_of(get_trial_hardware)
    resources:
        mem_mb=memory(8000),
        runtime=1440,
        slurm_partition=placed(get_trial_hardware, "slurm_partition"),
        gpu=placed(get_trial_hardware, "gpu"),
        gpu_model=placed(get_trial_hardware, "gpu_model"),
        # Not parameters: where a trial runs, and how many jobs share the trials, is no reason to search again.
        placement=get_trial_options,
        staging=STAGING,
        workers=get_workers,
    params:
        settings=settings_of("tune", "model", "split"),
        stores=get_model_stores,
        index=INDEX,
        folds=FOLDS,
    shell:
        "phenoloom tune --worker {wildcards.worker} --workers {resources.workers} {resources.placement} {resources.staging} "
        "--settings {params.settings:q} --index {params.index:q} --folds {params.folds:q} --stores {params.stores:q} "
        "--threads {threads} --output {output:q} 2> {log:q}"


rule choose:
    input:
        unpack(inputs_of("choose")),
    output:
        trials=FOLDER.search("{model}", "{split}").trials,
        chosen=FOLDER.search("{model}", "{split}").chosen,
    log:
        log_of("choose", "model", "split"),
    benchmark:
        benchmark_of("choose", "model", "split")
    conda:
        "../../envs/cpu.yaml"
    resources:
        mem_mb=memory(2000),
        runtime=grows(30),
    params:
        settings=settings_of("choose", "model", "split"),
    shell:
        "phenoloom choose --settings {params.settings:q} --workers {input.workers:q} --trials {output.trials:q} "
        "--output {output.chosen:q} 2> {log:q}"


rule pretrain:
    input:
        unpack(inputs_of("pretrain", "other_tables")),
    # The training state lies beside these in an undeclared folder: Snakemake deletes the declared outputs of a job
    # that failed, and days of training would go with them.
    output:
        weights=FOLDER.model("{model}", "{split}").weights,
        metrics=FOLDER.model("{model}", "{split}").metrics,
        model=FOLDER.model("{model}", "{split}").card,
    log:
        log_of("pretrain", "model", "split"),
    benchmark:
        benchmark_of("pretrain", "model", "split")
    conda:
        environment_of(get_training_hardware)
    threads: threads_of(get_training_hardware)
    resources:
        # Each attempt goes on where the last one ended, so that none needs more time than the first.
        mem_mb=memory(8000),
        runtime=1440,
        slurm_partition=placed(get_training_hardware, "slurm_partition"),
        gpu=placed(get_training_hardware, "gpu"),
        gpu_model=placed(get_training_hardware, "gpu_model"),
        # Of several nodes srun starts the processes itself; each of these is unset for one.
        gres=placed(get_training_hardware, "gres"),
        mpi=placed(get_training_hardware, "mpi"),
        nodes=placed(get_training_hardware, "nodes"),
        tasks=placed(get_training_hardware, "tasks"),
        tasks_per_gpu=placed(get_training_hardware, "tasks_per_gpu"),
        # Not parameters: where and how a model trains is no reason to train it again.
        launcher=get_launcher,
        placement=get_training_options,
        staging=STAGING,
    params:
        settings=settings_of("pretrain", "model", "split"),
        stores=get_model_stores,
        index=INDEX,
        folds=FOLDS,
        folder=subpath(output.model, parent=True),
        also=options_of("pretrain"),
    shell:
        "{resources.launcher} phenoloom pretrain {resources.placement} {resources.staging} --settings {params.settings:q} --index {params.index:q} --folds {params.folds:q} "
        "--stores {params.stores:q} {params.also:q} --threads {threads} --output {params.folder:q} 2> {log:q}"
