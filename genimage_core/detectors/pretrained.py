"""ImageNet weights: fetched once into the hub's own cache, refused with advice when that is impossible."""

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
    repo = str(find_detector(detector).weights)
    cached = try_to_load_from_cache(repo, FILE)
    if isinstance(cached, str):
        return cached
    try:
        if constants.HF_HUB_OFFLINE:
            raise OSError("HF_HUB_OFFLINE is set")
        # One plain request first: the hub's client retries for half a minute before it gives up.
        with urlopen(Request(hf_hub_url(repo, FILE), method="HEAD"), timeout=TIMEOUT_S):
            return hf_hub_download(repo, FILE)
    except OSError as error:  # every network error of both is one
        raise ValueError(
            f"base imagenet: cannot fetch {repo} ({error}). Go online once, or copy the hub's cache folder "
            "from a machine that has it, or choose base scratch, generator:NAME or checkpoint:PATH"
        ) from error
