"""A workbench for brokerless messaging: simulate it, measure it, compare the two."""
