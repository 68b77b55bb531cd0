"""Where data sets, decoded images and base weights are kept between runs."""

import os
from pathlib import Path

import platformdirs


def cache_folder() -> Path:
    """Return the cache folder: `GENIMAGE_CACHE` if it is set, else the platform's for this project."""
    given = os.environ.get("GENIMAGE_CACHE")
    return Path(given).expanduser() if given else platformdirs.user_cache_path("genimage")
