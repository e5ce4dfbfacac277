"""The command line: one command per rule, named like it; the only package that knows argv."""
