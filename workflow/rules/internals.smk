"""The private names of Snakemake that the workflow uses, and what makes large plans faster; no rules.

`benchmarks/bench_plan.py` measures what `gc.freeze` and `signed` gain. Snakemake below 10 has all of these names, its
executor for SLURM (`snakemake-executor-plugin-slurm`) below 3.
"""

import asyncio
import gc
import inspect
import shlex
import shutil

from snakemake.common import overwrite_function_params
from snakemake_interface_executor_plugins.executors.base import SubmittedJobInfo

# Resources that send a job to another cluster, whose queue is not asked here.
CLUSTERS = ("cluster", "clusters", "slurm_cluster")

# A plan is millions of objects that live to its end: looking among them for garbage takes a tenth of its time.
gc.freeze()
gc.set_threshold(200_000, 20, 100)


def signed(function):
    """Keep a function's parameters with it: Snakemake otherwise inspects the function at each call."""
    overwrite_function_params(function, inspect.signature(function).parameters)
    return function


def get_site_default(name):
    """Return a value of the profile's `default-resources`; None where it has none."""
    resource = workflow.resource_settings._parsed_default_resources.get(name)
    if resource is not None and resource.is_evaluable():
        resource = resource.evaluate(
            {}, input=[], attempt=1, threads=1, rulename=name, async_run=None
        )
    return None if resource is None else resource.value


def get_executor():
    """Return the name of the executor; None for dry runs."""
    plugin = workflow._executor_plugin
    return plugin and plugin.name


def get_submitted_jobs():
    """Return the jobs that the executor will be given."""
    return [job for job in workflow.dag.needrun_jobs() if not job.is_local]


def watch_jobs(ends):
    """Have the executor for SLURM report what it would wait for or hide for ever.

    Each look at its jobs begins with `ends`, which knows more final states; an error at a submission becomes an error
    of the job; and no account is guessed from sacct, or validated by sacctmgr where that is missing.
    """
    executor = workflow.executor_plugin.executor
    check, run, account = (
        executor.check_active_jobs,
        executor.run_job,
        executor.get_account_arg,
    )

    def say_of_group(self, job, sentence):
        # Snakemake prints the message of a rule, but not that of a group.
        if job.is_group():
            self.logger.error(sentence)

    async def check_active_jobs(self, active_jobs):
        here = {
            job.external_jobid: job
            for job in active_jobs
            if not any(job.job.resources.get(name) for name in CLUSTERS)
        }
        look = await asyncio.to_thread(ends.look, list(here))
        for warning in look.warnings:
            self.logger.warning(warning)
        for job_id, sentence in look.ended.items():
            say_of_group(self, here[job_id].job, sentence)
            log = here[job_id].aux.get("slurm_logfile")
            self.report_job_error(here[job_id], msg=sentence, aux_logs=[str(log)])
        rest = [job for job in active_jobs if job.external_jobid not in look.ended]
        async for job in check(self, rest):
            yield job

    def run_job(self, job):
        try:
            run(self, job)
        except Exception as error:
            # Whatever it is: it would end this thread without a word, and Snakemake would wait for the job for ever. (Its
            # own handler asks a group of jobs for its rule, and fails.)
            sentence = (
                f"{job.name} could not be submitted: {error.__context__ or error}"
            )
            say_of_group(self, job, sentence)
            self._report_job_error_threadsafe(SubmittedJobInfo(job), sentence)

    def get_account_arg(self, job):
        name = job.resources.get("slurm_account")
        if name and shutil.which("sacctmgr"):
            yield from account(self, job)
        else:
            yield f" -A {shlex.quote(str(name))}" if name else ""

    executor.check_active_jobs = check_active_jobs
    executor.run_job = run_job
    executor.get_account_arg = get_account_arg
