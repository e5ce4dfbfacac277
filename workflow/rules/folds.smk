rule folds:
    input:
        index=ancient(f"{RESULTS}/{{study}}/index.parquet"),
        manifest=f"{RESULTS}/{{study}}/index.json",
    output:
        folds=f"{RESULTS}/{{study}}/folds.parquet",
        manifest=f"{RESULTS}/{{study}}/folds.json",
    log:
        f"{LOGS}/{{study}}/folds.log",
    benchmark:
        f"{BENCHMARKS}/{{study}}/folds/all.tsv"
    group:
        get_split_group
    conda:
        "../../envs/cpu.yaml"
    resources:
        mem_mb=memory(1000, per_input_mb=10),
        runtime=preparation_time(30),
    params:
        settings=get_settings("folds"),
    shell:
        "phenoloom folds --settings {params.settings:q} --index {input.index:q} --folds {output.folds:q} "
        "--output {output.manifest:q} 2> {log:q}"
