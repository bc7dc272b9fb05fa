"""The requests of the location service, and the actions of a business API whose answers are no documents."""

# The answer to this action is a stream of server-sent events.
EVENTS = "StreamEvents"
# The answer to this action is the request's body.
DOWNLOAD = "DownloadBody"


def is_location(action: str, version: str) -> bool:
    """Whether a request asks the location service for a product's endpoint."""
    return action == "DescribeEndpoints" and version == "2015-06-12"
