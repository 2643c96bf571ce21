"""CUT3R: point maps from a stream of views, with a state carried along (Wang et al. 2025).

Written from the published mathematics, for inference only. With ``vmem.generation.diffusion`` the
only package of the engine that imports torch at module level; nothing outside imports it before
geometry of this kind is asked for.
"""
