"""Checks of the machine: Python, packages, processor, GPU, memory, disks, clock."""
