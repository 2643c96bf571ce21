"""VMem's multi-view diffusion: network, schedule, conditioning, sampling, codecs.

The only package of the engine, with ``vmem.checkpoints``, that imports torch at module level;
nothing outside imports it before a generator of this kind is asked for.
"""
