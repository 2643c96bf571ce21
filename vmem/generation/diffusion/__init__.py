"""The diffusion generator: VMem's network, its conditioning, sampling and codecs.

Imports torch at module level, except ``availability`` and ``codecs.view_code``: the rest of the
engine imports it only when a generator of this kind is made.
"""
