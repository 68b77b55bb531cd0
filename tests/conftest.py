import numpy as np
import pytest
from PIL import Image

from genimage_core.data.layout import CLASS_FOLDERS
from genimage_core.generators import GENIMAGE


@pytest.fixture
def write_tree():
    """Writes small random images in GenImage's own layout; returns the root."""

    def write(root, generators=("adm",), *, train=3, val=2, size=32, kind="png"):
        rng = np.random.default_rng(0)
        for name in generators:
            generator = GENIMAGE.get(name)
            for split, count in (("train", train), ("val", val)):
                for label in CLASS_FOLDERS:
                    folder = root / generator.top / generator.inner / split / label
                    folder.mkdir(parents=True, exist_ok=True)
                    for number in range(count):
                        pixels = rng.integers(0, 256, (size, size, 3), dtype=np.uint8)
                        Image.fromarray(pixels).save(folder / f"{number:03d}.{kind}")
        return root

    return write


@pytest.fixture(scope="session")
def one_thread():
    """Small batches gain nothing from a second thread, and lose much where other work shares the cores."""
    import torch  # not at the top: most tests do without

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
