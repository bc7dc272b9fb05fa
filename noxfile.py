"""The tasks of a contributor, each in an environment of its own.

``nox`` runs those with a star, ``nox -s NAME`` one of them. A name without its ending, such as ``tests`` for
``tests-3.8``, is for every Python that is installed. What follows ``--`` is passed on to the task. CONTRIBUTING.rst
says when to run which.
"""

import os
import shutil

import nox

nox.options.default_venv_backend = "venv"
nox.options.sessions = ["lint", "types", "tests"]
nox.options.error_on_missing_interpreters = False

PYTHONS = ["3.6", "3.8", "3.11", "3.13"]
PACKAGES = [
    "aliyun_sdk_secretsmanager_common_plugin",
    "aliyun_sdk_secretsmanager_sdk_core_plugin",
    "aliyun_sdk_secretsmanager_oss_plugin",
    "aliyun_sdk_secretsmanager_testing",
    "aliyun_sdk_secretsmanager_openapi_plugin",
    "aliyun_sdk_secretsmanager_oss_v2_plugin",
    "aliyun_sdk_secretsmanager_cli",
]


def install(session, *what):
    # The pip that comes with an old interpreter cannot install the wheels of cryptography, and the newest pip does not
    # support old interpreters.
    session.install("-q", "-U", "pip<22;python_version<'3.7'", "pip;python_version>'3.6'")
    session.install("-q", "--no-compile", *what)


@nox.session(python=PYTHONS)
def tests(session):
    """Run the test suite: this is the one to run before a commit."""
    install(session, ".[test]")
    session.run("python", "-m", "pytest", "-q", "-n", "auto", *session.posargs)


@nox.session
def lint(session):
    """Run ruff."""
    install(session, "ruff")
    session.run("ruff", "check", ".")


@nox.session
def types(session):
    """Run mypy over the packages, and check what it knows about the clients in a user's program."""
    install(session, ".[dev]")
    session.run("mypy")
    session.run("python", "-m", "pytest", "-q", "tests/sdk_core/test_habits.py", "-k", "checker_and_editor")


@nox.session
def security(session):
    """Run bandit over the packages, and look for known vulnerabilities of all dependencies."""
    install(session, ".[all,testing,opentelemetry]", "bandit[toml]", "pip-audit", "packaging")
    session.run("bandit", "-q", "-c", "pyproject.toml", "-r", *PACKAGES)
    session.run("python", "tests/audit/run.py")


@nox.session
def coverage(session):
    """Measure the branch coverage of the test suite; less than 95 % is a failure."""
    install(session, ".[test,openapi,oss-v2]", "coverage[toml]>=7.10", "aiohttp", "uvloop", "trio",
            "alibabacloud-ecs20140526")
    session.env["COVERAGE_FILE"] = os.path.abspath(os.path.join(session.create_tmp(), "coverage"))
    session.run("coverage", "erase")
    session.run("coverage", "run", "-m", "pytest", "-q", "-n", "auto", *session.posargs)
    session.run("coverage", "combine", "-q")
    session.run("coverage", "report")


@nox.session(python="3.11")
def mutation(session):
    """Make small changes of keeper and lease: a test or docs/mutants.rst must know each. This takes long."""
    install(session, ".[test]", "mutmut==3.8.1")
    shutil.rmtree("mutants", ignore_errors=True)  # old results there would be used even if the tests have changed
    session.run("mutmut", "run", *session.posargs)
    session.run("python", "tests/mutation/run.py")


@nox.session(python="3.11")
def machine(session):
    """Run a million random steps of the keeper, and check that such steps find faults in it: a quarter of an hour."""
    install(session, ".[test]")
    session.run(
        "python", "-m", "pytest", "-q", "-n", "auto", "-m", "matrix", "tests/keeper/test_keeper_machine.py",
        *session.posargs)


@nox.session
def docs(session):
    """Build the docs site, docs/_build/index.html, and check its links; a warning is an error."""
    install(session, ".[oss,openapi,oss-v2,prometheus,opentelemetry,testing]", "aiohttp", "pytest", "sphinx", "furo")
    shutil.rmtree("docs/_build", ignore_errors=True)  # pages that are gone, and pages that got a twin
    session.run("python", "-m", "sphinx", "-W", "--keep-going", "-n", "-q", "docs", "docs/_build", *session.posargs)
    session.run("python", "-m", "pytest", "-q", "--noconftest", "tests/test_site.py", env={"SITE": "docs/_build"})


@nox.session(python="3.11")
def prose(session):
    """Check the English of the pages by the rules in tests/prose/rules.toml, and with proselint."""
    session.install("-q", "proselint>=0.16", "docutils", "pytest")
    session.run("python", "-m", "pytest", "-q", "-p", "no:cacheprovider", "--noconftest", "tests/prose")
    session.run("python", "-m", "tests.prose.run", *session.posargs)


@nox.session
def prometheus(session):
    """Try the dashboard and the alert rules in a real Prometheus, which must be installed; draw the picture."""
    install(session, ".[test]", "opentelemetry-exporter-prometheus", "matplotlib", "grafana-foundation-sdk")
    session.run("python", "-m", "pytest", "-q", "tests/observability", "tests/common/test_opentelemetry.py",
                *session.posargs)
    session.run("python", "-m", "tests.observability.draw", "docs/observability")


@nox.session
def demo(session):
    """Run the demo on the local cloud."""
    install(session, ".[testing]")
    session.run("managed-credentials", "demo")


@nox.session
def bench(session):
    """Measure the suite beside the plain SDKs and its peers; without plots: ``-- --output results.json``."""
    install(session, ".[testing,openapi,oss-v2]", "aiohttp", "pyperf", "matplotlib")
    environments = [
        environment(session, "0.1.4", "python3.9", "aliyun-openapi-python-sdk-managed-credentials-provider==0.1.4"),
        environment(session, "alibabacloud-credentials", "python", "alibabacloud-credentials"),
        environment(session, "botocore", "python", "botocore"),
        environment(session, "aws-secretsmanager-caching", "python", "aws-secretsmanager-caching"),
    ]
    session.run("python", "-m", "benchmarks.bench", *filter(None, environments),
                *(session.posargs or ["--docs", "docs/performance"]))


@nox.session(name="bench-store")
def bench_store(session):
    """Measure what a shared store costs reads, calls, first reads and renewals; needs redis-server."""
    install(session, ".[testing,redis]", "pyperf")
    session.run("python", "-m", "benchmarks.shared_store")


def environment(session, who, python, *what):
    """Install a peer into an environment of its own; return None if that fails."""
    directory = os.path.abspath(os.path.join(session.create_tmp(), who))
    installed = os.path.join(directory, "bin", "python")
    try:
        session.run(python, "-m", "venv", "--clear", directory, external=True)
        session.run(installed, "-m", "pip", "install", "-q", "pyperf", *what, external=True)
    except nox.command.CommandFailed:
        session.warn("{} is left out: it cannot be installed here".format(who))
        return None
    return "--environment={}={}".format(who, installed)


@nox.session(python=PYTHONS)
def shape(session):
    """Compare what imports, reads and calls do with benchmarks/shape.json; ``-- --update`` stores it."""
    install(session, ".[test]")
    session.run("python", "-m", "benchmarks.shape", *session.posargs)


@nox.session
def soak(session):
    """Run ten minutes of load, rotations and faults (or ``-- --seconds 30``), and 10,000 secrets in one process."""
    install(session, ".[testing]", "psutil")
    session.run("python", "benchmarks/soak.py", *session.posargs)
    session.run("python", "benchmarks/many_secrets.py")


@nox.session
def fleet(session):
    """Simulate up to a million processes that share a quota, and stores: 20 minutes of one core."""
    install(session, ".[test,redis]", "matplotlib")
    session.run(
        "python", "-m", "pytest", "-q", "tests/benchmarks/test_fleet.py", "tests/benchmarks/test_fleet_store.py")
    session.run("python", "-m", "benchmarks.fleet", *(session.posargs or ["--plots", "docs/fleet"]))


@nox.session
def fleet_real(session):
    """Measure a real Redis as a shared store, and run 200 real processes beside the simulation: six minutes."""
    install(session, ".[test,redis]")
    session.run("python", "-m", "benchmarks.fleet_redis")
    session.run("python", "-m", "benchmarks.fleet_real", *session.posargs)


@nox.session
def dist(session):
    """Build and check the wheel and the source distribution, and run the latter's tests (or ``-- tests/lease``)."""
    install(session, ".[test]", "build", "twine")
    session.run("python", "-m", "pytest", "-q", "-m", "matrix", "tests/distribution")
    directory = os.path.abspath(session.create_tmp())
    shutil.rmtree(os.path.join(directory, "sdist"), ignore_errors=True)
    session.run("python", "-m", "build", "-q", "--sdist", "--outdir", os.path.join(directory, "sdist"))
    with session.chdir(os.path.join(directory, "sdist")):
        archive, = os.listdir(".")
        shutil.unpack_archive(archive)
        os.chdir(archive[:-len(".tar.gz")])
        install(session, ".[test]")
        session.run("python", "-m", "pytest", "-q", "-n", "auto", *session.posargs)


@nox.session
def release(session):
    """Build what is uploaded to a package index, unless the default address of the project is still somewhere."""
    for name in ("setup.py", "docs/install.rst", "docs/zh-cn/install.rst"):
        with open(name, encoding="utf-8") as file:
            if "git.example.org" in file.read():
                session.error("{} has the default address; write that of your repository there".format(name))
    install(session, "build", "twine")
    shutil.rmtree("dist", ignore_errors=True)
    session.run("python", "-m", "build", "-q")
    session.run("python", "-m", "twine", "check", "--strict", *("dist/" + name for name in sorted(os.listdir("dist"))))


@nox.session
def beside(session):
    """Install the suite beside newer packages than those that the existing plugin requires."""
    install(session, ".[oss]", "pydantic>=2", "protobuf>=5", "cryptography>=44", "aiofiles>=25")
    session.run("python", "-m", "pip", "check")
    for package in PACKAGES[:3]:
        session.run("python", "-c", "import " + package)


@nox.session(python="3.8")
@nox.parametrize("versions", ["oss2==2.7.0 requests==2.18.4", "oss2"])
def oss(session, versions):
    """Run all tests of the OSS plugin on the oldest and the newest oss2 and requests."""
    # Not the extra "test", since alibabacloud-credentials needs a newer requests.
    install(session, ".[testing]", "pytest", "pytest-xdist", "hypothesis", *versions.split())
    session.run(
        "python", "-m", "pytest", "-q", "-n", "auto", "-m", "matrix or not matrix", "tests/oss", *session.posargs)


@nox.session
def faults(session):
    """Compare the effects of every fault of Secrets Manager with docs/faults.rst."""
    install(session, ".[test]")
    # In one process, since each test runs many cases at once.
    session.run(
        "python", "-m", "pytest", "-q", "-m", "matrix or not matrix", "tests/test_fault_matrix.py", *session.posargs)


@nox.session
def fuzz(session):
    """Try 100,000 random properties files, and as many random secrets and answers."""
    install(session, ".[test]")
    session.run("python", "-m", "pytest", "-q", "-n", "auto", "-m", "matrix or not matrix",
                "tests/test_fuzz_settings.py", "tests/test_fuzz_answers.py", *session.posargs)


@nox.session(python=["3.8", "3.11", "3.13"])
@nox.parametrize(
    "versions", ["alibabacloud-tea-openapi==0.3.16 alibabacloud-ecs20140526<6",
                 "alibabacloud-tea-openapi==0.4.4 alibabacloud-ecs20140526<7.10", "alibabacloud-ecs20140526"])
def openapi(session, versions):
    """Run the tests of V2.0 clients on the oldest and the newest alibabacloud-tea-openapi, and one between them."""
    install(session, ".[test,openapi]", "uvloop", "trio", "mypy", *versions.split())
    session.run(
        "python", "-m", "pytest", "-q", "-n", "auto", "tests/openapi", "tests/common/test_asyncio.py",
        "tests/test_imports.py", "tests/test_docs.py", "tests/examples/test_programs.py", *session.posargs)


@nox.session(python=["3.8", "3.11", "3.13"], name="oss-v2")
@nox.parametrize("version", ["oldest", "newest"])
def oss_v2(session, version):
    """Run the tests of OSS V2 clients on the oldest and the newest alibabacloud-oss-v2."""
    # Before 1.4.0 the SDK needs Python 3.10 for asynchronous iterators.
    oldest = "==1.4.0" if session.python == "3.8" else "==1.2.0"
    wanted = "alibabacloud-oss-v2" + (oldest if version == "oldest" else "")
    install(session, ".[test,openapi,oss-v2]", "aiohttp", "uvloop", "mypy", "alibabacloud-ecs20140526", wanted)
    session.run(
        "python", "-m", "pytest", "-q", "-n", "auto", "tests/oss_v2", "tests/common/test_bodies.py",
        "tests/test_imports.py", "tests/test_docs.py", "tests/examples/test_programs.py", *session.posargs)


@nox.session(python=["3.9", "3.11"])
def parity(session):
    """Run the tests with the official client, and compare its requests and answers with ours."""
    install(session, ".[test]", "aliyun-secret-manager-client", "alibabacloud-dkms-gcs==1.0.2")
    session.run("python", "-m", "pytest", "-q", "-n", "auto", "tests/parity", *session.posargs)


@nox.session
def examples(session):
    """Run the examples with their SDKs and servers, and the page Getting started in empty environments."""
    install(session, ".[test,openapi,oss-v2]", "aliyun-log-python-sdk", "tablestore", "gunicorn", "flask", "uvicorn",
            "fastapi", "django", "pytest-django", "celery", "pyyaml", "kubernetes-validate", "alibabacloud-ecs20140526",
            "alibabacloud-kms20160120", "alibabacloud-ram20150501")
    session.run(
        "python", "-m", "pytest", "-q", "-m", "matrix or not matrix", "tests/examples", *session.posargs)


@nox.session
def browser(session):
    """Run the tests of the console in Chromium; needs Debian's packages chromium and chromium-driver."""
    install(session, ".[test]", "selenium")
    session.run("python", "-m", "pytest", "-q", "tests/testing/test_console_browser.py", *session.posargs)


@nox.session
def redis(session):
    """Run the tests of the shared store with a real Redis; needs Debian's package redis-server."""
    install(session, ".[test]")
    session.run("python", "-m", "pytest", "-q", "-n", "auto", "-m", "matrix or not matrix", "tests/stores",
                "tests/check/test_shared_store.py", "tests/examples/test_shared_store.py", *session.posargs)


@nox.session(python=PYTHONS)
def processes(session):
    """Run the tests with real processes: gunicorn, celery, gevent, pools, forks, stops and exits."""
    install(session, ".[test]", "gunicorn", "celery", "gevent")
    session.run(
        "python", "-m", "pytest", "-q", "-n", "auto", "-m", "matrix or not matrix", "tests/processes", *session.posargs)


@nox.session
def sdk_suites(session):
    """Run the SDKs' own tests with the proxies in place of the clients."""
    install(session, ".[test]", "aliyun-python-sdk-ecs")
    session.run("python", "tests/sdk_suites/run.py", "--cache", session.create_tmp(), *session.posargs)


@nox.session(python="3.9", name="drop-in")
def drop_in(session):
    """Run the same programs with the plugins 0.1.4, which need Python 3.9 or older, and with this package."""
    for sdk in ("openapi", "oss"):
        install(session, "aliyun-{}-python-sdk-managed-credentials-provider==0.1.4".format(sdk))
    ours = os.path.abspath(os.path.join(session.create_tmp(), "ours"))
    session.run("python", "-m", "venv", "--clear", ours)
    python = os.path.join(ours, "bin", "python")
    session.run(python, "-m", "pip", "install", "-q", ".[testing]", external=True)
    session.run("python", "tests/drop_in/run.py", "--existing", "python", "--ours", python, *session.posargs)
    # The commands of docs/migrating.rst, in the environment that still has the plugins 0.1.4.
    session.install("-q", ".[oss]")
    session.run("python", "-m", "pip", "uninstall", "-q", "-y", *(
        "aliyun-{}-managed-credentials-provider".format(each)
        for each in ("openapi-python-sdk", "oss-python-sdk", "sdk-common")))
    session.install("-q", "--force-reinstall", "--no-deps", ".")
    session.run("python", "-m", "pip", "check")
    session.run("python", "-W", "ignore", "-c", "import " + ", ".join(PACKAGES[:3]))
