"""celery with its prefork pool. One client is made before the pool is forked, and its key is rotated.

    pip install celery
    python examples/celery_tasks.py
"""

import os
import subprocess
import sys
import tempfile

from on_local_cloud import HERE, local_cloud


def main():
    with local_cloud() as cloud, tempfile.TemporaryDirectory() as folder:
        os.environ["CELERY_FOLDER"] = folder
        directory = os.path.join(HERE, "celery_app")
        sys.path.insert(0, directory)
        from tasks import describe_regions

        command = [sys.executable, "-m", "celery", "--quiet", "--app", "tasks", "worker", "--pool", "prefork",
                   "--concurrency", "2", "--loglevel", "CRITICAL"]
        worker = subprocess.Popen(command, cwd=directory)
        try:
            for _ in range(3):
                print("signed by {AccessKeyId}".format(**describe_regions.delay().get(timeout=60)))
                cloud.rotate("my-secret")
        finally:
            worker.terminate()
            worker.wait()


if __name__ == "__main__":
    main()
