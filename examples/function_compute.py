"""Function Compute: its runtime is played here. It imports the function once and then calls the handler.

    python examples/function_compute.py
"""

import importlib
import json
import os
import sys
import types

from on_local_cloud import HERE, local_cloud


def new_context(cloud, runtime):
    """Return what a runtime hands to the handler: up to Python 3.10 with credentials of the function's role."""
    context = types.SimpleNamespace(request_id="1", region="cn-hangzhou")
    if runtime <= (3, 10):
        context.credentials = cloud.add_identity(token=True)
    return context


def main():
    with local_cloud() as cloud:
        key = cloud.add_identity(token=True)
        os.environ.update(
            ALIBABA_CLOUD_ACCESS_KEY_ID=key.access_key_id,
            ALIBABA_CLOUD_ACCESS_KEY_SECRET=key.access_key_secret,
            ALIBABA_CLOUD_SECURITY_TOKEN=key.security_token,
        )
        sys.path.insert(0, os.path.join(HERE, "fc_function"))
        function = importlib.import_module("index")
        for runtime in ((3, 10), (3, 12), (3, 10)):
            answer = function.handler(b"{}", new_context(cloud, runtime))
            print("signed by {AccessKeyId}".format(**json.loads(answer.decode("utf-8"))))
            cloud.rotate("my-secret")


if __name__ == "__main__":
    main()
