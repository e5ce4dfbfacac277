rule classify:
    input:
        unpack(inputs_of("classify")),
    output:
        FOLDER.representation_scores("{representation}"),
    log:
        log_of("classify", "representation"),
    benchmark:
        benchmark_of("classify", "representation")
    group:
        get_probe_group
    conda:
        "../../envs/cpu.yaml"
    threads: get_probe_threads
    resources:
        mem_mb=memory(2000, per_mb=8),
        runtime=grows(480),
    params:
        settings=settings_of("classify", "representation"),
        folds=FOLDS,
    shell:
        "phenoloom classify --settings {params.settings:q} --embeddings {input.embeddings:q} --folds {params.folds:q} "
        "--threads {threads} --output {output:q} 2> {log:q}"


rule transfer:
    input:
        unpack(inputs_of("transfer", "source_index", "source_folds")),
    output:
        FOLDER.transfer("{source}").scores("{representation}"),
    log:
        log_of("transfer", "source", "representation"),
    benchmark:
        benchmark_of("transfer", "source", "representation")
    conda:
        "../../envs/cpu.yaml"
    threads: get_probe_threads
    resources:
        mem_mb=memory(2000, per_mb=8),
        runtime=grows(480),
    params:
        settings=settings_of("transfer", "source", "representation"),
        index=INDEX,
        folds=FOLDS,
    shell:
        "phenoloom transfer --settings {params.settings:q} --embeddings {input.embeddings:q} --index {params.index:q} "
        "--folds {params.folds:q} --source-embeddings {input.source_embeddings:q} --source-index {input.source_index:q} "
        "--source-folds {input.source_folds:q} --threads {threads} --output {output:q} 2> {log:q}"


rule audit:
    input:
        unpack(inputs_of("audit", "index")),
    output:
        FOLDER.audit,
    log:
        log_of("audit"),
    benchmark:
        benchmark_of("audit")
    group:
        "evaluate"
    conda:
        "../../envs/cpu.yaml"
    threads: get_probe_threads
    resources:
        mem_mb=memory(1500, 20, INDEX),
        runtime=grows(60, 1, INDEX),
    params:
        settings=settings_of("audit"),
        folds=FOLDS,
    shell:
        "phenoloom audit --settings {params.settings:q} --index {input.index:q} --folds {params.folds:q} "
        "--threads {threads} --output {output:q} 2> {log:q}"


rule compare:
    input:
        unpack(inputs_of("compare")),
    output:
        scores=FOLDER.scores,
        comparisons=FOLDER.comparisons,
    log:
        log_of("compare"),
    benchmark:
        benchmark_of("compare")
    group:
        "evaluate"
    conda:
        "../../envs/cpu.yaml"
    resources:
        mem_mb=memory(1000, per_mb=10),
        runtime=grows(30),
    params:
        settings=settings_of("compare"),
    shell:
        "phenoloom compare --settings {params.settings:q} --scores {input.scores:q} --audit {input.audit:q} --comparisons {output.comparisons:q} "
        "--output {output.scores:q} 2> {log:q}"
