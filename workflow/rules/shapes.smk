rule contours:
    input:
        unpack(inputs_of("contours")),
    output:
        table=FOLDER.shapes.table("{shard}"),
        manifest=FOLDER.shapes.manifest("{shard}"),
    log:
        log_of("contours", "shard"),
    benchmark:
        benchmark_of("contours", "shard")
    group:
        preparing("outlines")
    conda:
        "../../envs/cpu.yaml"
    threads: 2
    resources:
        mem_mb=image_memory("contours"),
        runtime=preparation_time(240),
    params:
        settings=settings_of("contours"),
        sheet=SHEET,
        given=input_options_of("contours"),
    shell:
        "phenoloom contours --settings {params.settings:q} --sheet {params.sheet:q} --shard {wildcards.shard} "
        "{params.given:q} --threads {threads} --output {output.manifest:q} 2> {log:q}"


rule distances:
    input:
        unpack(inputs_of("distances")),
    output:
        FOLDER.distances.manifest("{shard}"),
    log:
        log_of("distances", "shard"),
    benchmark:
        benchmark_of("distances", "shard")
    group:
        preparing("outlines")
    conda:
        "../../envs/cpu.yaml"
    resources:
        mem_mb=memory(1500),
        runtime=preparation_time(120),
    params:
        settings=settings_of("distances"),
    shell:
        "phenoloom distances --settings {params.settings:q} --shapes {input:q} --output {output:q} 2> {log:q}"


rule describe:
    input:
        unpack(inputs_of("describe")),
    output:
        FOLDER.descriptors.table("{shard}"),
    log:
        log_of("describe", "shard"),
    benchmark:
        benchmark_of("describe", "shard")
    group:
        preparing("outlines")
    conda:
        "../../envs/cpu.yaml"
    resources:
        mem_mb=memory(1500),
        runtime=preparation_time(120),
    params:
        settings=settings_of("describe"),
    shell:
        "phenoloom describe --settings {params.settings:q} --shapes {input:q} --output {output:q} 2> {log:q}"
