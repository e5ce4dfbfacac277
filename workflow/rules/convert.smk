rule convert:
    input:
        f"{RESULTS}/{{study}}/sheet.json",
    output:
        table=f"{RESULTS}/{{study}}/tiles/{{shard}}.parquet",
        manifest=f"{RESULTS}/{{study}}/tiles/{{shard}}.json",
    log:
        f"{LOGS}/{{study}}/convert/{{shard}}.log",
    benchmark:
        f"{BENCHMARKS}/{{study}}/convert/{{shard}}.tsv"
    group:
        preparing(None)
    conda:
        "../../envs/cpu.yaml"
    threads: 2
    resources:
        mem_mb=memory(800),
        runtime=preparation_time(480),
        # Not a parameter: where a store is written first is no reason to write it again.
        staging=STAGING,
    params:
        settings=get_settings("convert"),
        sheet=SHEET,
    shell:
        "phenoloom convert {resources.staging} --settings {params.settings:q} --sheet {params.sheet:q} --shard {wildcards.shard} "
        "--threads {threads} --output {output.manifest:q} 2> {log:q}"


rule index:
    input:
        sheet=ancient(f"{RESULTS}/{{study}}/sheet.parquet"),
        manifest=f"{RESULTS}/{{study}}/sheet.json",
        shards=get_index_shards,
    output:
        index=f"{RESULTS}/{{study}}/index.parquet",
        quarantine=f"{RESULTS}/{{study}}/quarantine.tsv",
        manifest=f"{RESULTS}/{{study}}/index.json",
    log:
        f"{LOGS}/{{study}}/index.log",
    benchmark:
        f"{BENCHMARKS}/{{study}}/index/all.tsv"
    group:
        get_split_group
    conda:
        "../../envs/cpu.yaml"
    resources:
        mem_mb=memory(1000, per_input_mb=10),
        runtime=preparation_time(60),
    params:
        settings=get_settings("index"),
    shell:
        "phenoloom index --settings {params.settings:q} --sheet {input.sheet:q} --shards {input.shards:q} "
        "--index {output.index:q} --quarantine {output.quarantine:q} --output {output.manifest:q} 2> {log:q}"
