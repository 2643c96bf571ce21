"""Parts of the published code's behaviour that only the golden tests need.

``memory``: its memory, step by step, with its undo. ``schedule``: how it cuts a trajectory into
steps. ``alignment`` and ``registration``: how it fits CUT3R's points to known cameras; poses are
OpenCV there. The parts that the program itself uses are in ``vmem.published``.
"""
