"""The files for Docker and Kubernetes. No container runs here: what they say is compared, and done by hand."""

import json
import os
import shlex
import shutil
import subprocess
import sys

import pytest
import requests

from aliyun_sdk_secretsmanager_common_plugin.settings import load_settings

from .pages import EXAMPLES, text_of

APP = EXAMPLES / "flask_app"
VARIABLE = "MANAGED_CREDENTIALS_CONFIG"
# What ack-pod-identity-webhook sets.
WEBHOOK = {
    "ALIBABA_CLOUD_ROLE_ARN": "acs:ram::1:role/a",
    "ALIBABA_CLOUD_OIDC_PROVIDER_ARN": "acs:ram::1:oidc-provider/a",
    "ALIBABA_CLOUD_OIDC_TOKEN_FILE": "/token",
}


class Dockerfile:
    """The Dockerfile.

    Attributes:
        lines: keyword and arguments of each instruction.
    """

    def __init__(self):
        self.lines = [line.partition(" ")[::2] for line in text_of(APP / "Dockerfile").splitlines()]

    def arguments(self, keyword):
        return next(arguments for found, arguments in self.lines if found == keyword)

    def command(self):
        return json.loads(self.arguments("CMD"))


@pytest.fixture
def image(wheel, tmp_path):
    """A directory and the environment of its programs, made as the Dockerfile says."""
    pytest.importorskip("flask", reason="needs flask: nox -s examples")
    context, directory = tmp_path / "context", tmp_path / "app"
    shutil.copytree(str(APP), str(context))
    (context / "wheels").mkdir()
    shutil.copy(str(wheel), str(context / "wheels"))
    directory.mkdir()
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "python")], check=True)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    environment["PATH"] = str(tmp_path / "python/bin") + os.pathsep + environment["PATH"]
    for keyword, arguments in Dockerfile().lines:
        if keyword == "COPY":
            source, target = arguments.split()
            copied = context / source
            copy = shutil.copytree if copied.is_dir() else shutil.copy
            copy(str(copied), str(directory / (source if target == "." else target)))
        elif keyword == "RUN":
            subprocess.run(shlex.split(arguments), cwd=str(directory), env=environment, check=True, timeout=300)
    return directory, environment


@pytest.mark.matrix
def test_command_of_the_image_serves_over_rotations(image, local_cloud, tmp_path):
    from on_local_cloud import address

    directory, environment = image
    local_cloud.create_secret("my-secret")
    environment[VARIABLE] = local_cloud.write_properties(tmp_path)
    environment["ECS_ENDPOINT"] = local_cloud.api_endpoint
    subprocess.run(["managed-credentials", "check", "my-secret"], env=environment, check=True)
    command = [word.replace("0.0.0.0:8000", "127.0.0.1:0") for word in Dockerfile().command()]
    assert "127.0.0.1:0" in command
    server = subprocess.Popen(command, cwd=str(directory), env=environment, stderr=subprocess.PIPE,
                              universal_newlines=True)
    keys = set()
    try:
        url = address(server.stderr)
        assert requests.get(url + "/healthz", timeout=60).text == "ok"
        for _ in range(3):
            keys.add(requests.get(url, timeout=60).json()["AccessKeyId"])
            local_cloud.rotate("my-secret")
    finally:
        server.terminate()
        server.communicate()

    assert len(keys) == 3


def test_image_has_no_properties_file():
    copied = [arguments.split()[0] for keyword, arguments in Dockerfile().lines if keyword == "COPY"]

    assert copied == ["requirements.txt", "wheels", "app.py"]
    assert "*.properties" in text_of(APP / ".dockerignore").splitlines()


def test_compose_mounts_the_properties_file_where_the_image_looks_for_it():
    yaml = pytest.importorskip("yaml", reason="needs PyYAML: nox -s examples")
    compose = yaml.safe_load(text_of(APP / "compose.yaml"))
    service, docker = compose["services"]["web"], Dockerfile()

    assert set(compose) == {"services", "secrets"}
    assert list(compose["secrets"]) == service["secrets"]
    assert docker.arguments("ENV") == "{}=/run/secrets/{}".format(VARIABLE, *service["secrets"])
    assert compose["secrets"][service["secrets"][0]]["file"].endswith(".properties")
    assert service["ports"] == ["127.0.0.1:8000:" + docker.arguments("EXPOSE")]
    assert "0.0.0.0:" + docker.arguments("EXPOSE") in docker.command()


class TestKubernetes:
    @pytest.fixture
    def objects(self):
        """The objects of the manifest by their kind."""
        yaml = pytest.importorskip("yaml", reason="needs PyYAML: nox -s examples")
        return {one["kind"]: one for one in yaml.safe_load_all(text_of(APP / "kubernetes.yaml"))}

    def test_every_object_is_valid(self, objects):
        kubernetes = pytest.importorskip(
            "kubernetes_validate", reason="needs kubernetes-validate: nox -s examples")

        for one in objects.values():
            kubernetes.validate(one, kubernetes.latest_version(), strict=True)

    def test_names_agree(self, objects):
        name, pod = objects["Namespace"]["metadata"]["name"], objects["Deployment"]["spec"]["template"]

        assert {one["metadata"].get("namespace", name) for one in objects.values()} == {name}
        assert objects["ServiceAccount"]["metadata"]["name"] == pod["spec"]["serviceAccountName"]
        assert objects["Deployment"]["spec"]["selector"]["matchLabels"] == pod["metadata"]["labels"]

    def test_pod_gets_the_properties_file_where_it_looks_for_it(self, objects):
        pod = objects["Deployment"]["spec"]["template"]["spec"]
        container, volume, configuration = pod["containers"][0], pod["volumes"][0], objects["ConfigMap"]
        file, = configuration["data"]

        assert volume["configMap"]["name"] == configuration["metadata"]["name"]
        assert container["volumeMounts"][0]["name"] == volume["name"]
        assert container["env"] == [
            {"name": VARIABLE, "value": container["volumeMounts"][0]["mountPath"] + "/" + file}]

    def test_properties_file_needs_nothing_but_what_the_webhook_gives(self, objects, tmp_path, monkeypatch, caplog):
        for name, value in WEBHOOK.items():
            monkeypatch.setenv(name, value)
        (name, text), = objects["ConfigMap"]["data"].items()
        (tmp_path / name).write_text(text)

        assert load_settings(str(tmp_path / name)).identity.credentials_type == "oidc_role_arn"
        assert caplog.records == []

    def test_pod_runs_the_image(self, objects):
        pod, docker = objects["Deployment"]["spec"]["template"]["spec"], Dockerfile()
        container = pod["containers"][0]
        user, _, group = docker.arguments("USER").partition(":")

        assert pod["securityContext"] == {"runAsNonRoot": True, "runAsUser": int(user), "fsGroup": int(group)}
        assert container["ports"] == [{"containerPort": int(docker.arguments("EXPOSE"))}]
        assert container["readinessProbe"]["httpGet"]["port"] == int(docker.arguments("EXPOSE"))
        assert '@app.route("{}")'.format(container["readinessProbe"]["httpGet"]["path"]) in text_of(APP / "app.py")
