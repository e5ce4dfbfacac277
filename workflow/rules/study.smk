rule simulate:
    output:
        FOLDER.simulation,
    log:
        log_of("simulate"),
    benchmark:
        benchmark_of("simulate")
    group:
        "prepare"
    conda:
        "../../envs/cpu.yaml"
    resources:
        mem_mb=memory(1000),
        runtime=preparation_time(30),
    params:
        settings=settings_of("simulate"),
        folder=subpath(output[0], parent=True),
    shell:
        "phenoloom simulate --settings {params.settings:q} --folder {params.folder:q} --output {output:q} 2> {log:q}"


rule sheet:
    input:
        unpack(inputs_of("sheet")),
    output:
        sheet=FOLDER.sheet,
        manifest=FOLDER.sheet_manifest,
    log:
        log_of("sheet"),
    benchmark:
        benchmark_of("sheet")
    group:
        "prepare"
    conda:
        "../../envs/cpu.yaml"
    resources:
        mem_mb=memory(1500, per_mb=20),
        runtime=preparation_time(60),
    params:
        settings=settings_of("sheet"),
    shell:
        "phenoloom sheet --settings {params.settings:q} --sheet {output.sheet:q} --output {output.manifest:q} 2> {log:q}"


rule objects:
    input:
        unpack(inputs_of("objects")),
    output:
        table=FOLDER.objects,
        manifest=FOLDER.objects_manifest,
    log:
        log_of("objects"),
    benchmark:
        benchmark_of("objects")
    group:
        "prepare"
    conda:
        "../../envs/cpu.yaml"
    resources:
        mem_mb=memory(1500, per_mb=20),
        runtime=preparation_time(60),
    params:
        settings=settings_of("objects"),
        sheet=SHEET,
    shell:
        "phenoloom objects --settings {params.settings:q} --sheet {params.sheet:q} --table {output.table:q} "
        "--output {output.manifest:q} 2> {log:q}"


rule index:
    input:
        unpack(inputs_of("index", "sheet")),
    output:
        index=FOLDER.index,
        quarantine=FOLDER.quarantine,
        manifest=FOLDER.index_manifest,
    log:
        log_of("index"),
    benchmark:
        benchmark_of("index")
    group:
        get_split_group
    conda:
        "../../envs/cpu.yaml"
    resources:
        mem_mb=memory(1000, per_mb=10),
        runtime=preparation_time(60),
    params:
        settings=settings_of("index"),
        objects=input_options_of("index"),
    shell:
        "phenoloom index --settings {params.settings:q} --sheet {input.sheet:q} {params.objects:q} "
        "--shards {input.shards:q} "
        "--index {output.index:q} --quarantine {output.quarantine:q} --output {output.manifest:q} 2> {log:q}"
