"""Sections of the page of a study, one file each, and the files with tables and pictures that they show.

A new section is one file with a function `section`, one template of its anchor's name, and one line in
`report.SECTIONS`.
"""
