import pytest
import torch


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    """Small batches gain nothing from a second thread, and lose much where other work shares the cores."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
