"""Worked examples: a generated tri-modal world (``make demo``), real data sets, and the report they share."""
