rule report:
    input:
        unpack(inputs_of("report")),
    output:
        report(
            str(FOLDER.report),
            caption="../report/study.rst",
            category="Studies",
            labels={"study": "{study}"},
        ),
    log:
        log_of("report"),
    benchmark:
        benchmark_of("report")
    group:
        "evaluate"
    conda:
        "../../envs/cpu.yaml"
    resources:
        mem_mb=memory(2000, 20, INDEX, inputs=None),
        runtime=grows(60),
    params:
        settings=settings_of("report"),
        study_folder=str(FOLDER.path),
        benchmarks=str(FOLDER.benchmarks),
    shell:
        "phenoloom report --settings {params.settings:q} --study-folder {params.study_folder:q} "
        "--benchmarks {params.benchmarks:q} --output {output:q} 2> {log:q}"


rule overview:
    input:
        [RESULTS.study(name).report for name in CONFIG.studies],
    output:
        report(
            str(RESULTS.overview),
            caption="../report/overview.rst",
            category="Overview",
        ),
    log:
        str(RESULTS.overview_log),
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
