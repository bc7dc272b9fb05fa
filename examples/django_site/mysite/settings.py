"""As little as this site needs."""

import os

SECRET_KEY = os.environ.get("DJANGO_SECRET_KEY", "only for this example")
ALLOWED_HOSTS = ["127.0.0.1", "localhost"]
INSTALLED_APPS = ["regions"]
ROOT_URLCONF = "mysite.urls"
WSGI_APPLICATION = "mysite.wsgi.application"
USE_TZ = True

ECS_ENDPOINT = os.environ.get("ECS_ENDPOINT", "ecs.cn-hangzhou.aliyuncs.com")
