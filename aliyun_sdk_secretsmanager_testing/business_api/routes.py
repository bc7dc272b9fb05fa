"""Which requests are for the location service, and which answers are no documents; all others are a business API's."""

# An action whose answer is a stream of server-sent events.
EVENTS = "StreamEvents"
# An action whose answer is the request's body.
DOWNLOAD = "DownloadBody"


def is_location(action: str, version: str) -> bool:
    """Whether a request asks where a product's endpoint is (product Location, 2015-06-12)."""
    return action == "DescribeEndpoints" and version == "2015-06-12"
