"""gunicorn and Flask. One client is made before the workers are forked, and its key is rotated.

    pip install gunicorn flask
    python examples/gunicorn_flask.py
"""

import requests
from on_local_cloud import local_cloud, served


def main():
    with local_cloud() as cloud, served(
            "flask_app", "gunicorn", "--preload", "--workers", "2", "--bind", "127.0.0.1:0", "app:create_app()") as url:
        for _ in range(3):
            print("signed by {AccessKeyId}".format(**requests.get(url, timeout=60).json()))
            cloud.rotate("my-secret")


if __name__ == "__main__":
    main()
