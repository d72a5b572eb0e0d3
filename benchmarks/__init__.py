"""How fast stepbook is, beside other ways to remember a step.

`python -m benchmarks` measures everything and prints one table; `--help` tells the rest.
Each module here is one benchmark; `peers` holds what they compare.
"""
