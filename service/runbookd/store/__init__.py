"""Memory: everything that must outlive the process, behind `ports.Store`; start reading at `sqlite.py`."""
