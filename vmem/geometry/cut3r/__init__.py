"""CUT3R: point maps from a stream of views, with a state carried along (Wang et al. 2025).

Written from the published mathematics, for inference only. One of three packages of the
engine that import torch at module level, with ``vmem.generation.diffusion`` and
``vmem.geometry.depth_anything``; nothing outside imports it before geometry of this kind is asked
for.
"""
