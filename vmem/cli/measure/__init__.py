"""``vmem doctor --measure``: what the networks cost and how they behave on this machine.

Sections of measurements, run one after the other within a limit of time, printed as a table and
written as one JSON file. A section is a row of `command.SECTIONS`.
"""
