"""Depth Anything V2 (Yang et al. 2024): inverse depth of single images, up to scale and shift.

``network`` imports torch at module level; ``estimator`` imports it when the network is needed.
"""
