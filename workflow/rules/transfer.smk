rule transfer_embed:
    input:
        unpack(get_transfer_embed_input),
        folds=f"{RESULTS}/{{study}}/folds.json",
    output:
        f"{RESULTS}/{{study}}/transfer/{{source}}/embeddings/{{representation}}/{{split}}.parquet",
    log:
        f"{LOGS}/{{study}}/transfer_embed/{{source}}-{{representation}}-{{split}}.log",
    benchmark:
        f"{BENCHMARKS}/{{study}}/transfer_embed/{{source}}-{{representation}}-{{split}}.tsv"
    conda:
        get_embed_environment
    resources:
        mem_mb=memory(3000, 10, INDEX),
        runtime=grows(480),
        slurm_partition=get_embed_partition,
        gpu=get_embed_gpus,
        gpu_model=get_embed_gpu_model,
    params:
        settings=get_settings("transfer_embed", "source", "representation", "split"),
        source=get_embed_source,
        index=INDEX,
        folds=FOLDS,
    shell:
        "phenoloom transfer_embed --settings {params.settings:q} --index {params.index:q} --folds {params.folds:q} "
        "{params.source:q} --threads {threads} --output {output:q} 2> {log:q}"


rule transfer:
    input:
        embeddings=lambda wildcards: get_transfer_embeddings(
            wildcards.study, wildcards.source, wildcards.representation
        ),
        source_embeddings=lambda wildcards: get_embeddings(
            wildcards.source, wildcards.representation
        ),
        folds=f"{RESULTS}/{{study}}/folds.json",
        source_index=ancient(f"{RESULTS}/{{source}}/index.parquet"),
        source_folds=ancient(f"{RESULTS}/{{source}}/folds.parquet"),
        source_folds_manifest=f"{RESULTS}/{{source}}/folds.json",
    output:
        f"{RESULTS}/{{study}}/transfer/{{source}}/{{representation}}.parquet",
    log:
        f"{LOGS}/{{study}}/transfer/{{source}}-{{representation}}.log",
    benchmark:
        f"{BENCHMARKS}/{{study}}/transfer/{{source}}-{{representation}}.tsv"
    conda:
        "../../envs/cpu.yaml"
    threads: get_probe_threads
    resources:
        mem_mb=memory(2000, per_input_mb=8),
        runtime=grows(480),
    params:
        settings=get_settings("transfer", "source", "representation"),
        index=INDEX,
        folds=FOLDS,
    shell:
        "phenoloom transfer --settings {params.settings:q} --embeddings {input.embeddings:q} --index {params.index:q} "
        "--folds {params.folds:q} --source-embeddings {input.source_embeddings:q} --source-index {input.source_index:q} "
        "--source-folds {input.source_folds:q} --threads {threads} --output {output:q} 2> {log:q}"
