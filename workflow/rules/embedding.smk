rule embed:
    input:
        unpack(inputs_of("embed")),
    output:
        FOLDER.embeddings.table("{representation}", "{split}"),
    log:
        log_of("embed", "representation", "split"),
    benchmark:
        benchmark_of("embed", "representation", "split")
    group:
        get_probe_group
    conda:
        environment_of(get_embedding_hardware)
    resources:
        mem_mb=get_embed_memory,
        runtime=get_embed_runtime,
        slurm_partition=placed(get_embedding_hardware, "slurm_partition"),
        gpu=placed(get_embedding_hardware, "gpu"),
        gpu_model=placed(get_embedding_hardware, "gpu_model"),
    params:
        settings=settings_of("embed", "representation", "split"),
        source=input_options_of("embed"),
        index=INDEX,
        folds=FOLDS,
    shell:
        "phenoloom embed --settings {params.settings:q} --index {params.index:q} --folds {params.folds:q} "
        "{params.source:q} --threads {threads} --output {output:q} 2> {log:q}"


rule transfer_embed:
    input:
        unpack(inputs_of("transfer_embed")),
    output:
        FOLDER.transfer("{source}").embeddings.table("{representation}", "{split}"),
    log:
        log_of("transfer_embed", "source", "representation", "split"),
    benchmark:
        benchmark_of("transfer_embed", "source", "representation", "split")
    conda:
        environment_of(get_embedding_hardware)
    resources:
        mem_mb=memory(3000, 10, INDEX),
        runtime=grows(480),
        slurm_partition=placed(get_embedding_hardware, "slurm_partition"),
        gpu=placed(get_embedding_hardware, "gpu"),
        gpu_model=placed(get_embedding_hardware, "gpu_model"),
    params:
        settings=settings_of("transfer_embed", "source", "representation", "split"),
        source=input_options_of("transfer_embed"),
        index=INDEX,
        folds=FOLDS,
    shell:
        "phenoloom transfer_embed --settings {params.settings:q} --index {params.index:q} --folds {params.folds:q} "
        "{params.source:q} --threads {threads} --output {output:q} 2> {log:q}"


rule collect:
    input:
        unpack(inputs_of("collect")),
    output:
        FOLDER.annotated_embeddings,
    log:
        log_of("collect"),
    benchmark:
        benchmark_of("collect")
    group:
        "evaluate"
    conda:
        "../../envs/cpu.yaml"
    resources:
        mem_mb=memory(3000, 10, inputs=max),
        runtime=grows(240),
    params:
        settings=settings_of("collect"),
        folds=FOLDS,
    shell:
        "phenoloom collect --settings {params.settings:q} --embeddings {input.embeddings:q} --folds {params.folds:q} "
        "--output {output:q} 2> {log:q}"
