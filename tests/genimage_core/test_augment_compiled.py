"""The compiled contender of the benchmark computes what `apply` does, and its grids only once."""

import pytest
import torch
from augmentations import draw, noise_images

from genimage_core import fields, spectrum
from genimage_core.augment import apply
from tests.benchmarks.augment_contenders import full_policy
from tests.benchmarks.augment_cuda import KEPT, compiled_apply

pytestmark = pytest.mark.filterwarnings("ignore:Dynamo detected a call", "ignore:Torchinductor does not")
GRID_MAKERS = {"fftfreq", "rfftfreq", "hypot", "special_ndtri", "arange"}


@pytest.fixture(autouse=True)
def nothing_compiled_before():
    torch.compiler.reset()
    yield
    torch.compiler.reset()


def test_grids_are_constants_of_what_is_compiled():
    called = []

    def backend(graph, _):
        called.extend(getattr(node.target, "__name__", str(node.target)) for node in graph.graph.nodes)
        return graph

    images, params = noise_images(), draw(full_policy())
    compiled = compiled_apply(backend)
    for size in (32, 24):  # what is compiled for one size is not used for another
        cropped = images[..., :size]
        expected = apply(cropped, params)  # first: what is not traced finds its grids made
        torch.testing.assert_close(compiled(cropped, params), expected, atol=1e-5, rtol=0)
    assert any("rfft2" in name for name in called)
    assert not [name for name in called if any(maker in name for maker in GRID_MAKERS)]


def test_every_kept_grid_is_marked():
    kept = {f for module in (spectrum, fields) for f in vars(module).values() if hasattr(f, "cache_info")}
    assert kept == set(KEPT)


@pytest.mark.slow
def test_compiled_code_gives_the_same():
    images, params = noise_images(), draw(full_policy())
    compiled = compiled_apply()
    for _ in range(2):
        torch.testing.assert_close(compiled(images, params), apply(images, params), atol=1e-5, rtol=0)
