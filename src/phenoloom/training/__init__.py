"""Pretraining on the train groups: data, fit, monitors, resume, and searches for settings."""
