"""uvicorn and FastAPI. One client of the V2.0 SDK serves all requests, and its key is rotated.

    pip install uvicorn fastapi alibabacloud-ecs20140526
    python examples/uvicorn_fastapi.py
"""

import requests
from on_local_cloud import local_cloud, served


def main():
    with local_cloud() as cloud, served("fastapi_app", "uvicorn", "--port", "0", "app:app") as url:
        for _ in range(3):
            status = requests.get(url, timeout=60).status_code
            print("{}, {} reads of the secret".format(status, len(cloud.calls("secrets_manager"))))
            cloud.rotate("my-secret")


if __name__ == "__main__":
    main()
