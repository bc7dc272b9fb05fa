"""A directory is the broker, so that the example runs by itself. Any other broker works as well."""

import os

folder = os.environ["CELERY_FOLDER"]

broker_url = "filesystem://"
broker_transport_options = {
    "data_folder_in": folder,
    "data_folder_out": folder,
    "control_folder": os.path.join(folder, "control"),
}
result_backend = "file://" + folder
