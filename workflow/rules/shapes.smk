rule contours:
    input:
        unpack(get_outlined),
    output:
        table=f"{RESULTS}/{{study}}/shapes/{{shard}}.parquet",
        manifest=f"{RESULTS}/{{study}}/shapes/{{shard}}.json",
    log:
        f"{LOGS}/{{study}}/contours/{{shard}}.log",
    benchmark:
        f"{BENCHMARKS}/{{study}}/contours/{{shard}}.tsv"
    group:
        preparing("outlines")
    conda:
        "../../envs/cpu.yaml"
    threads: 2
    resources:
        mem_mb=memory(1500),
        runtime=preparation_time(240),
    params:
        settings=get_settings("contours"),
        sheet=SHEET,
        tiles=lambda wildcards, input: (
            ["--tiles", input.tiles] if "tiles" in input.keys() else []
        ),
    shell:
        "phenoloom contours --settings {params.settings:q} --sheet {params.sheet:q} --shard {wildcards.shard} "
        "{params.tiles:q} --threads {threads} --output {output.manifest:q} 2> {log:q}"


rule distances:
    input:
        f"{RESULTS}/{{study}}/shapes/{{shard}}.json",
    output:
        f"{RESULTS}/{{study}}/distances/{{shard}}.json",
    log:
        f"{LOGS}/{{study}}/distances/{{shard}}.log",
    benchmark:
        f"{BENCHMARKS}/{{study}}/distances/{{shard}}.tsv"
    group:
        preparing("outlines")
    conda:
        "../../envs/cpu.yaml"
    resources:
        mem_mb=memory(1500),
        runtime=preparation_time(120),
    params:
        settings=get_settings("distances"),
    shell:
        "phenoloom distances --settings {params.settings:q} --shapes {input:q} --output {output:q} 2> {log:q}"


rule describe:
    input:
        f"{RESULTS}/{{study}}/shapes/{{shard}}.json",
    output:
        f"{RESULTS}/{{study}}/descriptors/{{shard}}.parquet",
    log:
        f"{LOGS}/{{study}}/describe/{{shard}}.log",
    benchmark:
        f"{BENCHMARKS}/{{study}}/describe/{{shard}}.tsv"
    group:
        preparing("outlines")
    conda:
        "../../envs/cpu.yaml"
    resources:
        mem_mb=memory(1500),
        runtime=preparation_time(120),
    params:
        settings=get_settings("describe"),
    shell:
        "phenoloom describe --settings {params.settings:q} --shapes {input:q} --output {output:q} 2> {log:q}"
