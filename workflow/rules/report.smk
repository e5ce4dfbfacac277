rule report:
    input:
        get_reported,
    output:
        report(
            f"{RESULTS}/{{study}}/report/index.html",
            caption="../report/study.rst",
            category="Studies",
            labels={"study": "{study}"},
        ),
    log:
        f"{LOGS}/{{study}}/report.log",
    benchmark:
        f"{BENCHMARKS}/{{study}}/report/all.tsv"
    group:
        "evaluate"
    conda:
        "../../envs/cpu.yaml"
    resources:
        mem_mb=memory(2000, 20, INDEX, inputs=None),
        runtime=grows(60),
    params:
        settings=get_settings("report"),
        study_folder=lambda wildcards: f"{RESULTS}/{wildcards.study}",
        benchmarks=lambda wildcards: f"{BENCHMARKS}/{wildcards.study}",
    shell:
        "phenoloom report --settings {params.settings:q} --study-folder {params.study_folder:q} "
        "--benchmarks {params.benchmarks:q} --output {output:q} 2> {log:q}"


rule overview:
    input:
        expand(f"{RESULTS}/{{study}}/report/index.html", study=CONFIG.studies),
    output:
        report(
            f"{RESULTS}/index.html",
            caption="../report/overview.rst",
            category="Overview",
        ),
    log:
        f"{LOGS}/overview.log",
    localrule: True
    conda:
        "../../envs/cpu.yaml"
    params:
        settings=overview_settings(
            {name: STUDIES[name] for name in CONFIG.studies}
        ).canonical(),
        results=subpath(output[0], parent=True),
    shell:
        "phenoloom overview --settings {params.settings:q} --results {params.results:q} --output {output:q} 2> {log:q}"
