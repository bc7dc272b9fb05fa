"""The version of the distribution, and the user agent its calls to Secrets Manager carry."""

__version__ = "1.0.0"

USER_AGENT = "aliyun-sdk-managed-credentials-providers-python/" + __version__
