"""Measurements: commands that print and save what a machine reaches."""
