"""Benchmarks: every figure beside its bare limit, measured in the same run (`make bench`)."""
