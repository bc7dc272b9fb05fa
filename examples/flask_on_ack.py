"""The Flask application as a pod of ACK sees the world: with an OIDC token in a file, and without any AccessKey.

    pip install gunicorn flask alibabacloud-credentials
    python examples/flask_on_ack.py
"""

import os
import tempfile

import requests
from on_local_cloud import local_cloud, served


def as_the_webhook_does(cloud, directory):
    """Return the variables that ack-pod-identity-webhook sets, and write the token that it mounts."""
    token_file = os.path.join(directory, "token")
    with open(token_file, "w") as file:
        file.write(cloud.oidc_token())
    return {
        "ALIBABA_CLOUD_ROLE_ARN": cloud.role_arn,
        "ALIBABA_CLOUD_OIDC_PROVIDER_ARN": cloud.oidc_provider_arn,
        "ALIBABA_CLOUD_OIDC_TOKEN_FILE": token_file,
    }


def main():
    with local_cloud() as cloud, tempfile.TemporaryDirectory() as directory:
        os.environ.update(as_the_webhook_does(cloud, directory), ALIBABA_CLOUD_CA_BUNDLE=cloud.ca_file)
        os.environ["MANAGED_CREDENTIALS_CONFIG"] = cloud.write_properties(
            directory, credentials_type="oidc_role_arn", credentials_sts_endpoint=cloud.sts_endpoint,
            credentials_access_key_id=None, credentials_access_secret=None)
        with served("flask_app", "gunicorn", "--preload", "--workers", "2", "--bind", "127.0.0.1:0",
                    "app:create_app()") as url:
            for _ in range(3):
                print("signed by {AccessKeyId}".format(**requests.get(url, timeout=60).json()))
                cloud.rotate("my-secret")
        print("{} calls of {}".format(len(cloud.calls("sts")), cloud.calls("sts")[0].action))


if __name__ == "__main__":
    main()
