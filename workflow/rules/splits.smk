rule folds:
    input:
        unpack(inputs_of("folds", "index")),
    output:
        folds=FOLDER.folds,
        manifest=FOLDER.folds_manifest,
    log:
        log_of("folds"),
    benchmark:
        benchmark_of("folds")
    group:
        get_split_group
    conda:
        "../../envs/cpu.yaml"
    resources:
        mem_mb=memory(1000, per_mb=10),
        runtime=preparation_time(30),
    params:
        settings=settings_of("folds"),
    shell:
        "phenoloom folds --settings {params.settings:q} --index {input.index:q} --folds {output.folds:q} "
        "--output {output.manifest:q} 2> {log:q}"
