import pytest
from trained import train


@pytest.fixture(scope="session")
def workshop(tmp_path_factory):
    return tmp_path_factory.mktemp("trained")


@pytest.fixture(scope="session")
def checkpoint(workshop):
    return train(workshop, seed=0)


@pytest.fixture(scope="session")
def second(workshop):
    return train(workshop, seed=1)
