"""VMem's multi-view diffusion: network, conditioning, sampling, codecs. Importing it loads torch."""
