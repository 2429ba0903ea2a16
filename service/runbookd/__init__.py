"""runbookd runs an operations runbook by itself; start reading at `service/runbookd/pipeline.py`."""

__version__ = "0.1.0"
