"""A function that EventBridge or CloudMonitor calls after a rotation."""

import collections
import json
import os

from aliyun_sdk_secretsmanager_common_plugin import (
    ManagedCredentials,
    handle_rotation_event,
)

Key = collections.namedtuple("Key", "access_key_id access_key_secret security_token")


class FunctionRole:
    """Gives the temporary credentials of the function's role."""

    context = None

    def get_credentials(self):
        # Runtimes up to Python 3.10 give each call fresh ones.
        if hasattr(self.context, "credentials"):
            return self.context.credentials
        return Key(
            os.environ["ALIBABA_CLOUD_ACCESS_KEY_ID"],
            os.environ["ALIBABA_CLOUD_ACCESS_KEY_SECRET"],
            os.environ["ALIBABA_CLOUD_SECURITY_TOKEN"],
        )


role = FunctionRole()
ManagedCredentials.set_default(ManagedCredentials.from_properties(identity=role))


def handler(event, context):
    role.context = context
    return json.dumps(handle_rotation_event(event))
