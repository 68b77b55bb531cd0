import pytest


@pytest.fixture(scope="session", autouse=True)
def all_on_one_thread(one_thread):
    """Every test of this folder."""
