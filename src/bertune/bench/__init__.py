"""Benchmarks of speed and memory: jobs, contestants in fresh processes, paired ratios, the physical floor."""
