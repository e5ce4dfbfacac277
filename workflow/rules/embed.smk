rule embed:
    input:
        unpack(get_embed_input),
        index=ancient(f"{RESULTS}/{{study}}/index.parquet"),
        index_manifest=f"{RESULTS}/{{study}}/index.json",
        folds=ancient(f"{RESULTS}/{{study}}/folds.parquet"),
        folds_manifest=f"{RESULTS}/{{study}}/folds.json",
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
        mem_mb=memory(3000, per_input_mb=10),
        runtime=grows(480),
        slurm_partition=get_embed_partition,
        gpu=get_embed_gpus,
        gpu_model=get_embed_gpu_model,
    params:
        settings=get_settings("embed", "representation", "split"),
        source=get_embed_source,
    shell:
        "phenoloom embed --settings {params.settings:q} --index {input.index:q} --folds {input.folds:q} "
        "{params.source:q} --threads {threads} --output {output:q} 2> {log:q}"
