rule pretrain:
    input:
        index=ancient(f"{RESULTS}/{{study}}/index.parquet"),
        index_manifest=f"{RESULTS}/{{study}}/index.json",
        folds=ancient(f"{RESULTS}/{{study}}/folds.parquet"),
        folds_manifest=f"{RESULTS}/{{study}}/folds.json",
        stores=get_model_stores,
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
        "../../envs/cpu.yaml"
    threads: get_model_threads
    resources:
        mem_mb=memory(8000),
        runtime=1440,
    params:
        settings=get_settings("pretrain", "model", "split"),
        folder=subpath(output.model, parent=True),
    shell:
        "phenoloom pretrain --settings {params.settings:q} --index {input.index:q} --folds {input.folds:q} "
        "--stores {input.stores:q} --threads {threads} --output {params.folder:q} 2> {log:q}"
