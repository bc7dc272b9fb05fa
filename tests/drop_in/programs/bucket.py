"""ProxyBucket in place of oss2.Bucket."""

import oss2
from local_cloud import ENDPOINTS, create_bucket, create_secret, error_of, rotate, show

from aliyun_sdk_secretsmanager_oss_plugin.proxy_bucket import ProxyBucket

secret, _ = create_secret("oss")
name = create_bucket()
bucket = ProxyBucket(secret_name=secret, endpoint=ENDPOINTS["oss_endpoint"], bucket_name=name, connect_timeout=5)
show("is a Bucket", isinstance(bucket, oss2.Bucket))
show("put_object", bucket.put_object("key", b"body").status)
show("get_object", bucket.get_object("key").read())
rotate(secret)
show("get_object after a rotation", bucket.get_object("key").read())
rotate(secret)
show("list_objects after a rotation", [each.key for each in bucket.list_objects().object_list])
show("an object that is not there", error_of(bucket.get_object, "none"))
rotate(secret)
show("put_object after a rotation", error_of(bucket.put_object, "other", b"other"))
show("delete_object", bucket.delete_object("key").status)
show("object_exists", bucket.object_exists("key"))
bucket.shutdown()
