"""Distribution of the managed-credentials suite."""

import io
import os
import re

from setuptools import find_packages, setup

HERE = os.path.dirname(os.path.abspath(__file__))


def read(*path):
    with io.open(os.path.join(HERE, *path), encoding="utf-8") as file:
        return file.read()


VERSION = re.search(
    r'__version__ = "(.+?)"', read("aliyun_sdk_secretsmanager_common_plugin", "version.py")
).group(1)

OSS = ["oss2>=2.7.0"]
# The last version for Python 3.6 is 0.3.6, with which credentials_type=default does not work.
IDENTITIES = [
    "alibabacloud-credentials>=1.0.0; python_version>='3.7'",
    "alibabacloud-credentials>=0.3.6; python_version<'3.7'",
]
ALL = OSS + IDENTITIES
OPENAPI = ["alibabacloud-tea-openapi>=0.3.16"]
OSS_V2 = ["alibabacloud-oss-v2>=1.2.0"]
SECRET_MANAGER_CLIENT = ["aliyun-secret-manager-client>=0.1.5"]
CLI = ["click>=8.0", "rich"]
PROMETHEUS = ["prometheus_client>=0.15"]
TESTING = OSS + CLI + ["cheroot", "trustme", "crcmod"]
TEST = TESTING + IDENTITIES + PROMETHEUS + [
    "pytest",
    "pytest-xdist",
    "hypothesis",
    "protobuf",
    "greenlet",
    "pysocks",
    "python-ptrace; sys_platform=='linux'",
]
DEV = TEST + ["mypy", "ruff", "nox", "types-requests"]

setup(
    name="aliyun-sdk-managed-credentials-providers",
    version=VERSION,
    description="Rotating managed RAM credentials of KMS Secrets Manager for the Alibaba Cloud SDKs",
    long_description=read("README.rst"),
    long_description_content_type="text/x-rst",
    license="Apache-2.0",
    packages=find_packages(include=["aliyun_sdk_secretsmanager_*"]),
    package_data={"": ["py.typed"]},
    python_requires=">=3.6",
    install_requires=[
        "aliyun-python-sdk-core>=2.13.36",
        "requests",
        "urllib3",
        "certifi",
        "cryptography>=3.1",
    ],
    extras_require={
        "oss": OSS,
        "identities": IDENTITIES,
        "all": ALL,
        "openapi": OPENAPI,
        "oss-v2": OSS_V2,
        "secret-manager-client": SECRET_MANAGER_CLIENT,
        "cli": CLI,
        "prometheus": PROMETHEUS,
        "testing": TESTING,
        "test": TEST,
        "dev": DEV,
    },
    entry_points={
        "console_scripts": ["managed-credentials = aliyun_sdk_secretsmanager_cli:main"],
        "pytest11": ["managed_credentials = aliyun_sdk_secretsmanager_testing.pytest_plugin"],
    },
    classifiers=[
        "Programming Language :: Python :: 3",
        "Programming Language :: Python :: 3.6",
        "Programming Language :: Python :: 3.8",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.13",
        "Typing :: Typed",
    ],
)
