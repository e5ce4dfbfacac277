"""The command line: one file a stage with its commands; the only package that knows argv."""
