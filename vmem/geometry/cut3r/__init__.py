"""CUT3R: point maps from a stream of views, with a state carried along (Wang et al. 2025).

Written from the published mathematics, for inference only. It imports torch at module level, so
nothing outside imports it before this geometry is asked for.
"""
