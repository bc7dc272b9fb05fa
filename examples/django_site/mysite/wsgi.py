"""What the server loads. Commands such as ``manage.py migrate`` do not load it."""

import os

from django.core.wsgi import get_wsgi_application
from regions import ecs

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mysite.settings")
application = get_wsgi_application()
ecs.client()  # reads the secret, so a wrong configuration shows at start
