"""Units of work: each stage's decision joined to the rows it reads and writes, one transaction each.

`pipeline.py` calls these in order. They read the clock never: `now` is a value.
"""
