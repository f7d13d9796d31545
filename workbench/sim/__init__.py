"""The simulator: replications of scenarios in the virtual world.

`replication` runs one, `sweep` runs all of them, on as many processes as there are cores.
"""
