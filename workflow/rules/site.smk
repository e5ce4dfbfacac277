"""What is asked of the cluster before anything is submitted; a run without a cluster asks nothing."""

from phenoloom.cluster import clock_skew as clocks, slurm


def get_comment(job):
    """The comment of the job in the queue, as the executor writes it; of a group of jobs how it begins."""
    if job.group:
        return f"rule_{job.group}_"
    values = "_".join(job.wildcards)
    return f"rule_{job.rule.name}" + (f"_wildcards_{values}" if values else "")


def check_cluster():
    """Refuse with a sentence what the cluster would refuse, or would do twice."""
    executor, settings = workflow._executor_plugin, workflow.executor_settings
    if executor is None or executor.name != "slurm":
        return
    jobs = [job for job in workflow.dag.needrun_jobs() if not job.is_local]
    try:
        slurm.check_site(
            slurm.asks((job.rule.name, job.threads, job.resources) for job in jobs),
            settings.status_command,
            settings.init_seconds_before_status_checks,
            settings.jobname_prefix,
            {get_comment(job) for job in jobs},
            Path.cwd(),
        )
    except PhenoloomError as error:
        raise WorkflowError(str(error))


onstart:
    warning = clocks.skew_warning(Path(RESULTS))
    if warning:
        logger.warning(warning)
    check_cluster()
