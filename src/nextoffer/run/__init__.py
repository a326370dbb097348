"""Wires the rooms together: fits, saves, loads, and carries the steps to a machine."""
