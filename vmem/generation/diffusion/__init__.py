"""The released model: multi-view latent diffusion. Importing any module in here loads torch."""
