"""Which requests are for the location service; all others are a business API's."""


def is_location(action: str, version: str) -> bool:
    """Whether a request asks where a product's endpoint is (product Location, 2015-06-12)."""
    return action == "DescribeEndpoints" and version == "2015-06-12"
