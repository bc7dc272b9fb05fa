"""celery with its prefork pool. One client is made before the pool is forked, and its key is rotated.

    pip install celery
    python examples/celery_tasks.py
"""

import os
import subprocess
import sys
import tempfile

from celery import Celery
from celery.signals import worker_init
from ecs_describe import describe_regions
from on_local_cloud import local_cloud

from aliyun_sdk_secretsmanager_sdk_core_plugin import ProxyAcsClient

app = Celery("celery_tasks")


def configuration():
    # A directory is the broker, so that this runs by itself; any other broker works as well.
    folder = os.environ["CELERY_FOLDER"]
    return {
        "broker_url": "filesystem://",
        "broker_transport_options": {
            "data_folder_in": folder, "data_folder_out": folder, "control_folder": os.path.join(folder, "control"),
        },
        "result_backend": "file://" + folder,
    }


app.add_defaults(configuration)


@worker_init.connect
def make_client(**event):
    # The processes of the pool have the key that is read here, and sockets of their own.
    app.client = ProxyAcsClient("my-secret", region_id="cn-hangzhou")


@app.task(name="describe")
def describe(endpoint):
    answer = describe_regions(app.client, endpoint)
    return "{AccessKeyId} in process {process}".format(process=os.getpid(), **answer)


def main():
    with local_cloud() as cloud, tempfile.TemporaryDirectory() as folder:
        os.environ["CELERY_FOLDER"] = folder
        command = [sys.executable, "-m", "celery", "--quiet", "--app", "celery_tasks", "worker", "--pool", "prefork",
                   "--concurrency", "2", "--loglevel", "CRITICAL"]
        worker = subprocess.Popen(command, cwd=os.path.dirname(os.path.abspath(__file__)))
        try:
            for _ in range(3):
                print("signed by " + describe.delay(cloud.api_endpoint).get(timeout=60))
                cloud.rotate("my-secret")
        finally:
            worker.terminate()
            worker.wait()


if __name__ == "__main__":
    main()
