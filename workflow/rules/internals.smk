"""The private names of Snakemake that the workflow uses, and what makes large plans faster; no rules.

`benchmarks/bench_plan.py` measures what `gc.freeze` and `signed` gain. Snakemake below 10 has all of these names.
"""

import gc
import inspect

from snakemake.common import overwrite_function_params

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
