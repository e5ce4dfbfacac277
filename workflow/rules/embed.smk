rule embed:
    input:
        unpack(get_embed_input),
        folds=f"{RESULTS}/{{study}}/folds.json",
    output:
        f"{RESULTS}/{{study}}/embeddings/{{representation}}/{{split}}.parquet",
    log:
        f"{LOGS}/{{study}}/embed/{{representation}}-{{split}}.log",
    benchmark:
        f"{BENCHMARKS}/{{study}}/embed/{{representation}}-{{split}}.tsv"
    group:
        get_probe_group
    conda:
        get_embed_environment
    resources:
        mem_mb=get_embed_memory,
        runtime=get_embed_runtime,
        slurm_partition=get_embed_partition,
        gpu=get_embed_gpus,
        gpu_model=get_embed_gpu_model,
    params:
        settings=get_settings("embed", "representation", "split"),
        source=get_embed_source,
        index=INDEX,
        folds=FOLDS,
    shell:
        "phenoloom embed --settings {params.settings:q} --index {params.index:q} --folds {params.folds:q} "
        "{params.source:q} --threads {threads} --output {output:q} 2> {log:q}"
