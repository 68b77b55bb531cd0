"""ImageNet weights: fetched once into the caches where timm looks, refused with advice when impossible."""

import os
from collections.abc import Callable
from pathlib import Path
from urllib.request import Request, urlopen

from huggingface_hub import constants, hf_hub_download, hf_hub_url, try_to_load_from_cache

from genimage_core.detectors.catalogue import check_base, find_detector

FILE = "model.safetensors"
TIMEOUT_S = 5.0


def ensure_imagenet_weights(detector: str) -> str:
    """Return the path of a detector's ImageNet weights, downloading them if no earlier run has.

    Raises:
        ValueError: If there are none for this detector, or they are neither cached nor to be had.
    """
    check_base(detector, "imagenet")
    source = str(find_detector(detector).weights)
    return _ensure_url(source) if source.startswith("https://") else _ensure_hub(source)


def _ensure_hub(repo: str) -> str:
    cached = try_to_load_from_cache(repo, FILE)
    if isinstance(cached, str):
        return cached
    return _fetch(repo, hf_hub_url(repo, FILE), lambda: hf_hub_download(repo, FILE))


def _ensure_url(url: str) -> str:
    path = hub_folder() / "checkpoints" / url.rpartition("/")[2]
    if path.exists():
        return str(path)

    def download() -> str:
        from torch.hub import download_url_to_file

        path.parent.mkdir(parents=True, exist_ok=True)
        # The name ends with the beginning of the content's hash, which is checked.
        download_url_to_file(url, str(path), hash_prefix=path.stem.rpartition("-")[2], progress=False)
        return str(path)

    return _fetch(url, url, download)


def hub_folder() -> Path:
    """Where torch, and so timm, keeps what has no place on the Hugging Face hub."""
    home = os.environ.get("XDG_CACHE_HOME", "~/.cache")
    return Path(os.environ.get("TORCH_HOME", f"{home}/torch")).expanduser() / "hub"


def _fetch(name: str, url: str, download: Callable[[], str]) -> str:
    try:
        if constants.HF_HUB_OFFLINE:
            raise OSError("HF_HUB_OFFLINE is set")
        # One plain request first: the hub's client retries for half a minute before it gives up.
        with urlopen(Request(url, method="HEAD"), timeout=TIMEOUT_S):
            return download()
    except OSError as error:  # every network error of both is one
        raise ValueError(
            f"base imagenet: cannot fetch {name} ({error}). Go online once, or copy the cache folder of the "
            "weights from a machine that has it, or choose base scratch, generator:NAME or checkpoint:PATH"
        ) from error
