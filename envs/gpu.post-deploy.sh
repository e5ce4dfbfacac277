#!/usr/bin/env bash
# Snakemake runs this in the new environment: the package itself, from the checkout that runs the workflow.
set -euo pipefail
python -m pip install --no-deps --editable .
