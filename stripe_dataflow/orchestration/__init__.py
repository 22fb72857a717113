"""Dagster: a dataflow's settings, partitions, assets, jobs, and the session its steps share."""
