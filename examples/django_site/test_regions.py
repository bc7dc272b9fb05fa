"""A test of the site, with pytest-django, on the local cloud."""

import pytest
from regions import ecs


@pytest.fixture
def secret(local_cloud, managed_credentials_config, settings):
    settings.ECS_ENDPOINT = local_cloud.api_endpoint
    ecs.client.cache_clear()
    return local_cloud.create_secret("my-secret")


def test_regions_over_a_rotation(secret, client, local_cloud):
    assert client.get("/").status_code == 200
    local_cloud.rotate("my-secret")
    assert client.get("/").status_code == 200
