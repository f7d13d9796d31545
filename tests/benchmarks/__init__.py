"""How fast the simulator is, against plain SimPy programs for the same models: `python -m tests.benchmarks`."""
