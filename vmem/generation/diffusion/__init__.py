"""VMem's multi-view diffusion: network, schedule, conditioning, sampling, codecs.

With ``vmem.geometry.cut3r`` the only package of the engine that imports torch at module level;
nothing outside imports it before a generator of this kind is asked for.
"""
