rule convert:
    input:
        unpack(inputs_of("convert")),
    output:
        table=FOLDER.tiles.table("{shard}"),
        manifest=FOLDER.tiles.manifest("{shard}"),
    log:
        log_of("convert", "shard"),
    benchmark:
        benchmark_of("convert", "shard")
    group:
        preparing(None)
    conda:
        "../../envs/cpu.yaml"
    threads: 2
    resources:
        mem_mb=image_memory("convert"),
        runtime=preparation_time(480),
        # Not a parameter: where a store is written first is no reason to write it again.
        staging=STAGING,
    params:
        settings=settings_of("convert"),
        sheet=SHEET,
        objects=input_options_of("convert"),
    shell:
        "phenoloom convert {resources.staging} --settings {params.settings:q} --sheet {params.sheet:q} "
        "{params.objects:q} --shard {wildcards.shard} --threads {threads} --output {output.manifest:q} 2> {log:q}"
