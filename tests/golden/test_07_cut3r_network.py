"""CUT3R, one view at a time, computes what the published network does over all views at once."""

from __future__ import annotations

import pytest
import torch

from tests.golden.cut3r_packs import config_of, published, run
from tests.golden.packs import assert_close
from vmem.geometry.cut3r.network import Cut3r
from vmem.geometry.cut3r.preprocess import prepare

PACKS = "07_cut3r_tiny"
TOLERANCE = 1e-4
RUNS = {"fp32rope.": False, "ref.": True}


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("prefix", RUNS)
def test_tiny_network(pack, prefix):
    settings = pack.config["ARCroco3DStereoConfig"]
    config = config_of(settings, pack.config.get("dpt_sizes_patched"))
    net = Cut3r(config, rounded_rope=RUNS[prefix])
    weights = {
        name[2:]: torch.from_numpy(value).float()
        for name, value in pack.tensors.items()
        if name.startswith("w.")
    }
    net.load_state_dict(weights, strict=True)
    assert pack.config["cases"]
    for i, case in enumerate(pack.config["cases"]):
        views, _ = prepare(pack[f"case{i}.images_u8"], case["size"])
        assert_close(views, pack[f"case{i}.views_img"], 1e-5)
        assert len(views) == case["n"]
        got, expected = run(net, views), published(pack, f"case{i}.{prefix}")
        assert expected
        for name, value in expected.items():
            assert_close(got[name], value, TOLERANCE, what=f"case {i}, {name}")
