rule pretrain:
    input:
        unpack(get_chosen),
        folds=f"{RESULTS}/{{study}}/folds.json",
        stores=get_unindexed_stores,
        other_tables=ancient(get_other_tables),
        other_manifests=get_other_manifests,
    # The training state lies beside these in an undeclared folder: Snakemake deletes the declared outputs of a job
    # that failed, and days of training would go with them.
    output:
        weights=f"{RESULTS}/{{study}}/models/{{model}}/{{split}}/model.safetensors",
        metrics=f"{RESULTS}/{{study}}/models/{{model}}/{{split}}/metrics.csv",
        model=f"{RESULTS}/{{study}}/models/{{model}}/{{split}}/model.yaml",
    log:
        f"{LOGS}/{{study}}/pretrain/{{model}}-{{split}}.log",
    benchmark:
        f"{BENCHMARKS}/{{study}}/pretrain/{{model}}-{{split}}.tsv"
    conda:
        get_training_environment
    threads: get_training_threads
    resources:
        # Each attempt goes on where the last one ended, so that none needs more time than the first.
        mem_mb=memory(8000),
        runtime=1440,
        slurm_partition=get_training_partition,
        gpu=get_gpus,
        gpu_model=get_gpu_model,
        # Of several nodes srun starts the processes itself; each of these is unset for one.
        gres=get_gpus_per_node,
        mpi=get_mpi,
        nodes=get_nodes,
        tasks=get_tasks,
        tasks_per_gpu=get_tasks_per_gpu,
        # Not parameters: where and how a model trains is no reason to train it again.
        launcher=get_launcher,
        placement=get_placement,
        staging=STAGING,
    params:
        settings=get_settings("pretrain", "model", "split"),
        stores=get_model_stores,
        index=INDEX,
        folds=FOLDS,
        folder=subpath(output.model, parent=True),
        also=get_also,
    shell:
        "{resources.launcher} phenoloom pretrain {resources.placement} {resources.staging} --settings {params.settings:q} --index {params.index:q} --folds {params.folds:q} "
        "--stores {params.stores:q} {params.also:q} --threads {threads} --output {params.folder:q} 2> {log:q}"
