"""Small checkpoints in every format in which the weights are released, and hostile ones."""

from __future__ import annotations

import argparse
import os
import sys
import types
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor, nn

CONSTRUCTOR = "ARCroco3DStereo(ARCroco3DStereoConfig(head_type='dpt', conf_mode=('exp', 1, inf)))"


class Tiny(nn.Module):
    """A layer, a norm with an integer buffer, and one tensor under two names, as CUT3R has."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(24, 16)
        self.norm = nn.BatchNorm1d(16)
        self.layer1_rn = nn.Linear(16, 16, bias=False)
        self.layer_rn = nn.ModuleList([self.layer1_rn])


def tiny_state(seed: int = 0) -> dict[str, Tensor]:
    """Weights of `Tiny`, the tied ones one tensor."""
    torch.manual_seed(seed)
    net = Tiny()
    for value in net.state_dict().values():
        if value.is_floating_point():
            value.normal_()
    return dict(net.state_dict())


def wrapped(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Keys as saved from wrappers, in front and in the middle, as VMem's are."""
    return {"module." + name.replace("norm.", "norm.module."): t for name, t in state.items()}


def write_vmem(path: Path, state: dict[str, Tensor]) -> Path:
    """vmem_weights.pth: the state itself, in torch's zip format."""
    torch.save(wrapped(state), path)
    return path


def write_cut3r(path: Path, state: dict[str, Tensor], args: object = None) -> Path:
    """cut3r_512_dpt_4_64.pth: state under "model" among what training leaves behind."""
    import numpy as np

    given = args or argparse.Namespace(model=CONSTRUCTOR, lr=1e-4, output_dir=Path("out"))
    leftovers = {"optimizer": {"state": {}}, "epoch": 3, "best_so_far": np.float64(0.5)}
    torch.save({"args": given, "model": state, **leftovers}, path)
    return path


def write_legacy(path: Path, state: dict[str, Tensor]) -> Path:
    """A .bin from before torch's zip format, nested under "state_dict"."""
    torch.save({"state_dict": state}, path, _use_new_zipfile_serialization=False)
    return path


def write_safetensors(path: Path, state: dict[str, Tensor]) -> Path:
    """By the safetensors package, which knows no tied tensors."""
    from safetensors.torch import save_file

    save_file({name: value.clone() for name, value in state.items()}, path, {"format": "pt"})
    return path


def write_vae(folder: Path, state: dict[str, Tensor]) -> Path:
    """A diffusers folder: vae/config.json and vae/diffusion_pytorch_model.safetensors."""
    (folder / "vae").mkdir(parents=True)
    (folder / "vae" / "config.json").write_text('{"latent_channels": 4}')
    return write_safetensors(folder / "vae" / "diffusion_pytorch_model.safetensors", state)


FORMATS = {
    "vmem.pth": write_vmem,
    "cut3r.pth": write_cut3r,
    "legacy.bin": write_legacy,
    "plain.safetensors": write_safetensors,
}


class Calls:
    """Pickles to a call of ``function`` with ``arguments``."""

    def __init__(self, function: object, *arguments: object) -> None:
        self.given = function, arguments

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return self.given


def attacks(mark: Path) -> dict[str, object]:
    """Objects that create the file ``mark`` if a loader runs them."""
    code = f"__import__('pathlib').Path({str(mark)!r}).touch()"
    shell = f"touch {mark}"
    return {
        "os.system": Calls(os.system, shell),
        "builtins.eval": Calls(eval, code),
        "builtins.exec": Calls(exec, code),
        "inside args": argparse.Namespace(model=Calls(os.system, shell)),
        "popen": Calls(os.popen, shell),
    }


@contextmanager
def omegaconf_settings() -> Iterator[object]:
    """Settings as OmegaConf pickles them, by classes of its names that are gone afterwards."""

    def made(module: str, name: str) -> type:
        parent = sys.modules.setdefault(module, types.ModuleType(module))
        made = type(name, (), {"__module__": module})
        setattr(parent, name, made)
        return made

    before = set(sys.modules)
    sys.modules.setdefault("omegaconf", types.ModuleType("omegaconf"))
    config, node = made("omegaconf.dictconfig", "DictConfig"), made("omegaconf.nodes", "AnyNode")
    metadata = made("omegaconf.base", "ContainerMetadata")()
    metadata.__dict__.update(optional=True, object_type=dict, key_type=int)
    model, rate, whole = node(), node(), config()
    model.__dict__.update(_metadata=metadata, _parent=whole, _val=CONSTRUCTOR)
    rate.__dict__.update(_metadata=metadata, _parent=whole, _val=1e-4)
    whole.__dict__.update(_metadata=metadata, _parent=None, _content={"model": model, "lr": rate})
    try:
        yield whole
    finally:
        for name in set(sys.modules) - before:
            del sys.modules[name]
