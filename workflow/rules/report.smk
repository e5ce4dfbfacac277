rule report:
    input:
        # What the page reads; the stores' pixels and curves come along with their manifests.
        lambda wildcards: [
            path
            for path in get_study_targets(wildcards.study)
            if not path.endswith(("index.html", "simulate.json"))
            # These come along with the index and the vectors; naming them again takes a sixth of a large plan's time.
            and not path.startswith(
                (
                    f"{RESULTS}/{wildcards.study}/tiles/",
                    f"{RESULTS}/{wildcards.study}/descriptors/",
                )
            )
        ],
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
        mem_mb=memory(2000, per_input_mb=2),
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
