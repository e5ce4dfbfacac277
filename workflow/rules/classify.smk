rule classify:
    input:
        embeddings=lambda wildcards: get_embeddings(
            wildcards.study, wildcards.representation
        ),
        folds=f"{RESULTS}/{{study}}/folds.json",
    output:
        f"{RESULTS}/{{study}}/scores/{{representation}}.parquet",
    log:
        f"{LOGS}/{{study}}/classify/{{representation}}.log",
    benchmark:
        f"{BENCHMARKS}/{{study}}/classify/{{representation}}.tsv"
    group:
        get_probe_group
    conda:
        "../../envs/cpu.yaml"
    threads: get_probe_threads
    resources:
        mem_mb=memory(2000, per_input_mb=8),
        runtime=grows(480),
    params:
        settings=get_settings("classify", "representation"),
        folds=FOLDS,
    shell:
        "phenoloom classify --settings {params.settings:q} --embeddings {input.embeddings:q} --folds {params.folds:q} "
        "--threads {threads} --output {output:q} 2> {log:q}"


rule compare:
    input:
        lambda wildcards: [
            f"{RESULTS}/{wildcards.study}/scores/{name}.parquet"
            for name in STUDIES[wildcards.study].representations
        ],
    output:
        scores=f"{RESULTS}/{{study}}/scores.parquet",
        comparisons=f"{RESULTS}/{{study}}/comparisons.parquet",
    log:
        f"{LOGS}/{{study}}/compare.log",
    benchmark:
        f"{BENCHMARKS}/{{study}}/compare/all.tsv"
    group:
        "evaluate"
    conda:
        "../../envs/cpu.yaml"
    resources:
        mem_mb=memory(1000, per_input_mb=10),
        runtime=grows(30),
    params:
        settings=get_settings("compare"),
    shell:
        "phenoloom compare --settings {params.settings:q} --scores {input:q} --comparisons {output.comparisons:q} "
        "--output {output.scores:q} 2> {log:q}"


rule collect:
    input:
        embeddings=get_all_embeddings,
        folds=f"{RESULTS}/{{study}}/folds.json",
    output:
        f"{RESULTS}/{{study}}/embeddings.h5ad",
    log:
        f"{LOGS}/{{study}}/collect.log",
    benchmark:
        f"{BENCHMARKS}/{{study}}/collect/all.tsv"
    group:
        "evaluate"
    conda:
        "../../envs/cpu.yaml"
    resources:
        mem_mb=memory(3000, 10, inputs=max),
        runtime=grows(240),
    params:
        settings=get_settings("collect"),
        folds=FOLDS,
    shell:
        "phenoloom collect --settings {params.settings:q} --embeddings {input.embeddings:q} --folds {params.folds:q} "
        "--output {output:q} 2> {log:q}"
