"""The network of full size, with parameters drawn by the recipe in the manifest.

1.26 billion of them: about 5 GiB of memory in a child process, given back when it ends.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from conftest import golden_folder

PREFIX = "02_vmem_full"
MANIFESTS = sorted(golden_folder().glob(f"{PREFIX}*.json"))
TOLERANCE = 1e-4
MEMORY_NEEDED = 8 * 2**30
CHUNK = 2**20


def memory() -> int:
    """Bytes of the machine; without limit where it cannot be asked."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError):
        return sys.maxsize


def fill(name: str, out: np.ndarray, base_seed: int) -> None:
    """Write a parameter's values, drawn chunk by chunk: the whole in float64 would be large."""
    rng = np.random.RandomState((zlib.crc32(name.encode()) ^ base_seed) & 0xFFFFFFFF)
    flat = out.reshape(-1)
    scale = np.float32(0.1 if out.ndim < 2 else math.prod(out.shape[1:]) ** -0.5)
    for start in range(0, flat.size, CHUNK):
        part = flat[start : start + CHUNK]
        part[:] = rng.standard_normal(part.size)
        part *= scale
        if out.ndim < 2 and name.endswith("weight"):
            part += np.float32(1)


def main(manifest_path: Path) -> None:
    """The child: print, as JSON, the largest difference of each case."""
    import torch
    from conftest import load_pack

    from vmem.generation.diffusion.unet import MultiviewUNet, UNetConfig

    pack = load_pack(manifest_path)
    params, seed = pack.config["params"], pack.config["base_seed"]
    config = UNetConfig.from_dict(params) if isinstance(params, dict) else UNetConfig()
    with torch.device("meta"):
        net = MultiviewUNet(config)
    net = net.to_empty(device="cpu")
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for done in [
            pool.submit(fill, name, parameter.numpy(), seed)
            for name, parameter in net.named_parameters()
        ]:
            done.result()

    corner = net.time_embed[0].weight[:4, :8].numpy()
    assert np.array_equal(corner, pack["check.w0"]), "the recipe gave other parameters"
    errors = {}
    for case in sorted({name.split(".")[0] for name in pack.tensors if name.startswith("case")}):
        x, t, crossattn, dense, out = (
            torch.from_numpy(pack[f"{case}.{name}"])
            for name in ("x", "t", "crossattn", "dense_y", "out")
        )
        errors[case] = (net(x, t, crossattn, dense) - out).abs().max().item()
    print(json.dumps(errors))


@pytest.mark.slow
@pytest.mark.skipif(not MANIFESTS, reason=f"no pack {PREFIX}* in {golden_folder()}")
@pytest.mark.skipif(memory() < MEMORY_NEEDED, reason="less than 8 GiB of memory")
@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.stem)
def test_full_network(path: Path):
    root = Path(__file__).parents[2]
    paths = [str(root), str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]
    done = subprocess.run(
        [sys.executable, __file__, str(path)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))},
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    errors = json.loads(done.stdout)
    assert errors
    assert all(error <= TOLERANCE for error in errors.values()), errors


if __name__ == "__main__":
    main(Path(sys.argv[1]))
