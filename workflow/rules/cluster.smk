"""What the cluster is asked before anything is submitted; a run without a cluster asks nothing."""

from phenoloom.cluster.clock_skew import skew_warning
from phenoloom.cluster.job_ends import JobEnds
from phenoloom.cluster.slurm import check_site, comment_of, requests


def check_cluster():
    """Refuse with a sentence what the cluster would refuse, or would do twice."""
    if get_executor() != "slurm":
        return
    jobs, settings = get_submitted_jobs(), workflow.executor_settings
    or_stop(
        check_site,
        requests((job.rule.name, job.threads, job.resources) for job in jobs),
        settings.status_command,
        settings.init_seconds_before_status_checks,
        settings.jobname_prefix,
        {comment_of(job.rule.name, job.wildcards, job.group) for job in jobs},
        Path.cwd(),
    )
    watch_jobs(JobEnds(requeued=not settings.no_requeue))


onstart:
    warning = skew_warning(RESULTS.path)
    if warning:
        logger.warning(warning)
    check_cluster()
