"""Distribution of the managed-credentials suite."""

import io
import os
import re
import shutil

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

# Where the project lives, and who answers for it. ``nox -s release`` refuses this address: put your own here, and into
# docs/install.rst in both languages.
REPOSITORY = "https://git.example.org/aliyun-sdk-managed-credentials-providers"
AUTHOR = "The maintainers of aliyun-sdk-managed-credentials-providers"

HERE = os.path.dirname(os.path.abspath(__file__))
EXAMPLE = "managed_credentials_providers.properties.example"


def read(*path):
    with io.open(os.path.join(HERE, *path), encoding="utf-8") as file:
        return file.read()


def long_description():
    """Return the README with links that also lead somewhere from outside of the repository."""
    text = re.sub(r"<(?!https?:)([^<>]+)>`_", "<" + REPOSITORY + r"/blob/main/\1>`_", read("README.rst"))
    return re.sub(r"(\.\. image:: )(?!https?:)", r"\1" + REPOSITORY + "/raw/main/", text)


class BuildPy(build_py):
    """Builds the packages without what an earlier build left, such as a module that was since deleted."""

    def run(self):
        for package in self.packages:
            if "." not in package:
                shutil.rmtree(os.path.join(self.build_lib, package), ignore_errors=True)
        build_py.run(self)


VERSION = re.search(
    r'__version__ = "(.+?)"', read("aliyun_sdk_secretsmanager_common_plugin", "version.py")
).group(1)

OSS = ["oss2>=2.7.0"]
# The last version for Python 3.6 is 0.3.6, with which credentials_type=default does not work.
IDENTITIES = [
    "alibabacloud-credentials>=1.0.0; python_version>='3.7'",
    "alibabacloud-credentials>=0.3.6; python_version<'3.7'",
]
OPENAPI = ["alibabacloud-tea-openapi>=0.3.16"]
OSS_V2 = ["alibabacloud-oss-v2>=1.2.0"]
SECRET_MANAGER_CLIENT = ["aliyun-secret-manager-client>=0.1.5"]
CLI = ["click>=8.0", "rich>=12.6"]  # the first with which a picture is always the same
PROMETHEUS = ["prometheus_client>=0.15"]
REDIS = ["redis>=4"]
OPENTELEMETRY = ["opentelemetry-api>=1.12"]
# Every SDK that this Python can have, and what else a program may use. The plugins of two SDKs need Python 3.8.
ALL = OSS + IDENTITIES + CLI + PROMETHEUS + REDIS + [each + "; python_version>='3.8'" for each in OPENAPI + OSS_V2]
TESTING = OSS + CLI + ["cheroot", "trustme", "crcmod"]
TEST = TESTING + IDENTITIES + PROMETHEUS + REDIS + OPENTELEMETRY + [
    "pytest",
    "pytest-xdist",
    "hypothesis",
    "protobuf",
    "opentelemetry-sdk>=1.12",
    "greenlet",
    "pysocks",
    "python-ptrace; sys_platform=='linux'",
]
DEV = TEST + ["mypy", "ruff", "nox", "types-requests"]

setup(
    name="aliyun-sdk-managed-credentials-providers",
    version=VERSION,
    description="Rotating managed RAM credentials of KMS Secrets Manager for the Alibaba Cloud SDKs",
    long_description=long_description(),
    long_description_content_type="text/x-rst",
    author=AUTHOR,
    url=REPOSITORY,
    project_urls={
        "Documentation": REPOSITORY + "/blob/main/docs/index.rst",
        "Changes": REPOSITORY + "/blob/main/CHANGELOG.rst",
        "Issues": REPOSITORY + "/issues",
        "Security": REPOSITORY + "/blob/main/SECURITY.md",
    },
    license="Apache-2.0",
    keywords="alibaba-cloud aliyun kms secrets-manager ram accesskey credentials rotation oss",
    packages=find_packages(include=["aliyun_sdk_secretsmanager_*"]),
    package_data={
        "": ["py.typed"],
        "aliyun_sdk_secretsmanager_common_plugin": [EXAMPLE],
        "aliyun_sdk_secretsmanager_testing.console": ["*.html", "*.css", "*.js"],
    },
    cmdclass={"build_py": BuildPy},
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
        "redis": REDIS,
        "opentelemetry": OPENTELEMETRY,
        "testing": TESTING,
        "test": TEST,
        "dev": DEV,
    },
    entry_points={
        "console_scripts": ["managed-credentials = aliyun_sdk_secretsmanager_cli:main"],
        "pytest11": ["managed_credentials = aliyun_sdk_secretsmanager_testing.pytest_plugin"],
    },
    classifiers=[
        "Development Status :: 5 - Production/Stable",
        "Framework :: AsyncIO",
        "Framework :: Pytest",
        "Intended Audience :: Developers",
        "Intended Audience :: System Administrators",
        "Natural Language :: Chinese (Simplified)",
        "Natural Language :: English",
        "Operating System :: MacOS",
        "Operating System :: POSIX :: Linux",
        "Programming Language :: Python :: 3",
        "Programming Language :: Python :: 3.6",
        "Programming Language :: Python :: 3.8",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.13",
        "Topic :: Security",
        "Topic :: Software Development :: Libraries :: Python Modules",
        "Typing :: Typed",
    ],
)
