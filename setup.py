"""Which packages are installed: those of the program, and the sample scenes as vmem/assets.

Everything else stands in pyproject.toml, which can give packages another place or find them, but
not both.
"""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=["vmem*", "viewer*", "shaders*"]), "vmem.assets"],
    package_dir={"vmem.assets": "assets"},
)
