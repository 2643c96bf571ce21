"""The network of full size, with parameters drawn by the recipe in the manifest.

1.26 billion of them: about 5 GiB of memory in a child process.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.golden.packs import golden_folder
from tests.golden.procedural import built, in_a_child, memory

PREFIX = "02_vmem_full"
MANIFESTS = sorted(golden_folder().glob(f"{PREFIX}*.json"))
TOLERANCE = 1e-4
MEMORY_NEEDED = 8 * 2**30


def main(manifest_path: Path) -> None:
    """The child: print, as JSON, the largest difference of each case, over its largest value."""
    import torch

    from tests.golden.packs import largest, load_pack
    from vmem.generation.diffusion.network.unet import MultiviewUNet, UNetConfig

    pack = load_pack(manifest_path)
    params = pack.config["params"]
    config = UNetConfig.from_dict(params) if isinstance(params, dict) else UNetConfig()
    net = built(lambda: MultiviewUNet(config), pack.config["base_seed"])

    corner = net.get_parameter("time_embed.0.weight")[:4, :8].numpy()
    assert np.array_equal(corner, pack["check.w0"]), "the recipe gave other parameters"
    errors = {}
    for case in sorted({name.split(".")[0] for name in pack.tensors if name.startswith("case")}):
        x, t, crossattn, dense, out = (
            torch.from_numpy(pack[f"{case}.{name}"])
            for name in ("x", "t", "crossattn", "dense_y", "out")
        )
        error = (net(x, t, crossattn, dense) - out).abs().max().item()
        errors[case] = error / max(largest(out), 1)
    print(json.dumps(errors))


@pytest.mark.slow
@pytest.mark.skipif(not MANIFESTS, reason=f"no pack {PREFIX}* in {golden_folder()}")
@pytest.mark.skipif(memory() < MEMORY_NEEDED, reason="less than 8 GiB of memory")
@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.stem)
def test_full_network(path: Path):
    errors = in_a_child(__file__, path)
    assert errors
    assert all(error <= TOLERANCE for error in errors.values()), errors


if __name__ == "__main__":
    main(Path(sys.argv[1]))
