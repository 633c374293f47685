"""Owns the report: what a run folder holds as one offline page and PNG figures; computes no scores."""

from bertune.reporting.write import write_report

__all__ = ["write_report"]
