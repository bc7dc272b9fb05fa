"""OSS: uploads of every kind of body, each right after a rotation.

    python examples/oss_upload.py
"""

import io

from on_local_cloud import local_cloud

from aliyun_sdk_secretsmanager_oss_plugin import ProxyBucket


def upload(bucket):
    bucket.put_object("bytes.txt", b"content")
    yield "bytes.txt"
    bucket.put_object("file.txt", io.BytesIO(b"content" * 1000))
    yield "file.txt"
    # A generator can be read only once, so what was sent is kept until OSS has accepted it.
    bucket.put_object("generator.txt", (b"%d\n" % number for number in range(1000)))
    yield "generator.txt"


def main():
    with local_cloud() as cloud:
        cloud.create_bucket("my-bucket")
        with ProxyBucket("my-secret", cloud.oss_endpoint, "my-bucket") as bucket:
            cloud.rotate("my-secret")
            for key in upload(bucket):
                print("{}: {} bytes".format(key, len(cloud.object("my-bucket", key))))
                cloud.rotate("my-secret")


if __name__ == "__main__":
    main()
