rule simulate:
    output:
        f"{RESULTS}/{{study}}/raw/simulate.json",
    log:
        f"{LOGS}/{{study}}/simulate.log",
    benchmark:
        f"{BENCHMARKS}/{{study}}/simulate/all.tsv"
    group:
        "prepare"
    conda:
        "../../envs/cpu.yaml"
    resources:
        mem_mb=memory(1000),
        runtime=preparation_time(30),
    params:
        settings=get_settings("simulate"),
        folder=subpath(output[0], parent=True),
    shell:
        "phenoloom simulate --settings {params.settings:q} --folder {params.folder:q} --output {output:q} 2> {log:q}"


rule sheet:
    input:
        get_raw,
    output:
        sheet=f"{RESULTS}/{{study}}/sheet.parquet",
        manifest=f"{RESULTS}/{{study}}/sheet.json",
    log:
        f"{LOGS}/{{study}}/sheet.log",
    benchmark:
        f"{BENCHMARKS}/{{study}}/sheet/all.tsv"
    group:
        "prepare"
    conda:
        "../../envs/cpu.yaml"
    resources:
        mem_mb=memory(1500, per_input_mb=20),
        runtime=preparation_time(60),
    params:
        settings=get_settings("sheet"),
    shell:
        "phenoloom sheet --settings {params.settings:q} --sheet {output.sheet:q} --output {output.manifest:q} 2> {log:q}"
