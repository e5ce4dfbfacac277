rule tune:
    input:
        folds=f"{RESULTS}/{{study}}/folds.json",
        stores=get_unindexed_stores,
    # The journal that all workers write and the states of their trainings lie beside this in undeclared files:
    # Snakemake deletes the declared outputs of a job that failed.
    output:
        f"{RESULTS}/{{study}}/tuning/{{model}}/{{split}}/worker-{{worker}}.json",
    log:
        f"{LOGS}/{{study}}/tune/{{model}}-{{split}}-{{worker}}.log",
    benchmark:
        f"{BENCHMARKS}/{{study}}/tune/{{model}}-{{split}}-{{worker}}.tsv"
    conda:
        get_training_environment
    threads: lambda wildcards: get_training(wildcards).threads
    resources:
        mem_mb=memory(8000),
        runtime=1440,
        slurm_partition=get_training_partition,
        gpu=get_trial_gpus,
        gpu_model=get_trial_gpu_model,
        # Not parameters: where a trial runs, and how many jobs share the trials, is no reason to search again.
        placement=get_trial_placement,
        staging=STAGING,
        workers=lambda wildcards: get_model(
            wildcards.study, wildcards.model
        ).tune.workers,
    params:
        settings=get_settings("tune", "model", "split"),
        stores=get_model_stores,
        index=INDEX,
        folds=FOLDS,
    shell:
        "phenoloom tune --worker {wildcards.worker} --workers {resources.workers} {resources.placement} {resources.staging} "
        "--settings {params.settings:q} --index {params.index:q} --folds {params.folds:q} --stores {params.stores:q} "
        "--threads {threads} --output {output:q} 2> {log:q}"


rule choose:
    input:
        workers=lambda wildcards: [
            f"{RESULTS}/{wildcards.study}/tuning/{wildcards.model}/{wildcards.split}/worker-{worker}.json"
            for worker in range(
                get_model(wildcards.study, wildcards.model).tune.workers
            )
        ],
    output:
        trials=f"{RESULTS}/{{study}}/tuning/{{model}}/{{split}}/trials.tsv",
        chosen=f"{RESULTS}/{{study}}/tuning/{{model}}/{{split}}/chosen.yaml",
    log:
        f"{LOGS}/{{study}}/choose/{{model}}-{{split}}.log",
    benchmark:
        f"{BENCHMARKS}/{{study}}/choose/{{model}}-{{split}}.tsv"
    conda:
        "../../envs/cpu.yaml"
    resources:
        mem_mb=memory(2000),
        runtime=grows(30),
    params:
        settings=get_settings("choose", "model", "split"),
    shell:
        "phenoloom choose --settings {params.settings:q} --workers {input.workers:q} --trials {output.trials:q} "
        "--output {output.chosen:q} 2> {log:q}"
