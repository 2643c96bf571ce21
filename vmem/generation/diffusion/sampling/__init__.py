"""Noise levels, guidance, solvers and the samplers made of them."""
