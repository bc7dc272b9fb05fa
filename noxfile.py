"""Every task of a contributor: ``nox -l`` lists them."""

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
]


def install(session, *what):
    # The pip of an old interpreter's ensurepip knows no wheel of today's cryptography; nor is each pip for all of them.
    session.install("-q", "-U", "pip<22;python_version<'3.7'", "pip;python_version>'3.6'")
    session.install("-q", "--no-compile", *what)


@nox.session(python=PYTHONS)
def tests(session):
    """The test suite, on each interpreter that is there."""
    install(session, ".[test]")
    session.run("python", "-m", "pytest", "-q", "-n", "auto", *session.posargs)


@nox.session
def lint(session):
    """ruff."""
    install(session, "ruff")
    session.run("ruff", "check", ".")


@nox.session
def types(session):
    """mypy, strict, over the packages; and what it knows of the clients in a user's program."""
    install(session, ".[dev]")
    session.run("mypy")
    session.run("python", "-m", "pytest", "-q", "tests/sdk_core/test_habits.py", "-k", "checker_and_editor")


@nox.session
def security(session):
    """bandit over the packages, and known vulnerabilities of what a fresh install brings."""
    install(session, ".[all,testing,prometheus]", "bandit[toml]", "pip-audit", "packaging")
    session.run("bandit", "-q", "-c", "pyproject.toml", "-r", *PACKAGES)
    session.run("python", "tests/audit/run.py")


@nox.session
def coverage(session):
    """The branches of the packages that the test suite takes; fewer than 95 % is a failure."""
    install(session, ".[test]", "coverage[toml]>=7.10")
    session.env["COVERAGE_FILE"] = os.path.abspath(os.path.join(session.create_tmp(), "coverage"))
    session.run("coverage", "erase")
    session.run("coverage", "run", "-m", "pytest", "-q", "-n", "auto", *session.posargs)
    session.run("coverage", "combine", "-q")
    session.run("coverage", "report")


@nox.session(python="3.11")
def mutation(session):
    """Half an hour: small changes of cache, renewal and refresher, each noticed by a test or in docs/mutants.rst."""
    install(session, ".[test]", "mutmut==3.8.1")
    session.run("python", "-m", "pytest", "-q", "-m", "matrix", "tests/common/test_cache_machine.py")
    shutil.rmtree("mutants", ignore_errors=True)  # a result outlives a change of the tests there
    session.run("mutmut", "run", *session.posargs)
    session.run("python", "tests/mutation/run.py")


@nox.session
def docs(session):
    """The docs site, docs/_build/index.html; a warning is an error."""
    install(session, ".[oss,openapi,oss-v2,prometheus,testing]", "aiohttp", "sphinx", "furo")
    session.run("python", "-m", "sphinx", "-W", "--keep-going", "-n", "-q", "docs", "docs/_build", *session.posargs)


@nox.session
def demo(session):
    """The main job on the local cloud."""
    install(session, ".[testing]")
    session.run("managed-credentials", "demo")


@nox.session
def bench(session):
    """What the suite costs, beside the plain SDKs and its peers; or ``-- --output results.json``, and no plots."""
    install(session, ".[testing,openapi,oss-v2]", "pyperf", "matplotlib")
    environments = [
        environment(session, "0.1.4", "python3.9", "aliyun-openapi-python-sdk-managed-credentials-provider==0.1.4"),
        environment(session, "alibabacloud-credentials", "python", "alibabacloud-credentials"),
        environment(session, "botocore", "python", "botocore"),
        environment(session, "aws-secretsmanager-caching", "python", "aws-secretsmanager-caching"),
    ]
    session.run("python", "-m", "benchmarks.bench", *filter(None, environments),
                *(session.posargs or ["--docs", "docs/performance"]))


def environment(session, who, python, *what):
    """Install a peer into an environment of its own; return None where that cannot be."""
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
    """What imports, cached reads and calls do, against benchmarks/shape.json; ``-- --update`` stores it."""
    install(session, ".[test]")
    session.run("python", "-m", "benchmarks.shape", *session.posargs)


@nox.session
def soak(session):
    """Ten minutes of load, rotations and faults (``-- --seconds 30`` for less), and 10,000 secrets in one process."""
    install(session, ".[testing]", "psutil")
    session.run("python", "benchmarks/soak.py", *session.posargs)
    session.run("python", "benchmarks/many_secrets.py")


@nox.session
def fleet(session):
    """100,000 processes against Secrets Manager's quota, simulated: hours; minutes with ``-- --processes 2000``."""
    install(session, ".[test]", "matplotlib")
    session.run("python", "-m", "pytest", "-q", "tests/benchmarks/test_fleet.py")
    session.run("python", "-m", "benchmarks.fleet", *(session.posargs or ["--plots", "docs/fleet"]))


@nox.session
def beside(session):
    """The suite installs beside the newest of what the existing plugin pins down."""
    install(session, ".[oss]", "pydantic>=2", "protobuf>=5", "cryptography>=44", "aiofiles>=25")
    session.run("python", "-m", "pip", "check")
    for package in PACKAGES[:3]:
        session.run("python", "-c", "import " + package)


@nox.session(python="3.8")
@nox.parametrize("versions", ["oss2==2.7.0 requests==2.18.4", "oss2"])
def oss(session, versions):
    """Every body, call, signature and way of refusal, on the oldest and newest oss2 and requests."""
    # Not all of "test": alibabacloud-credentials wants a newer requests.
    install(session, ".[testing]", "pytest", "pytest-xdist", "hypothesis", *versions.split())
    session.run(
        "python", "-m", "pytest", "-q", "-n", "auto", "-m", "matrix or not matrix", "tests/oss", *session.posargs)


@nox.session
def faults(session):
    """Every fault of Secrets Manager, at every moment, over one gateway and several, against docs/faults.rst."""
    install(session, ".[test]")
    # In one process: each test has many cells at once.
    session.run(
        "python", "-m", "pytest", "-q", "-m", "matrix or not matrix", "tests/test_fault_matrix.py", *session.posargs)


@nox.session(python=["3.8", "3.11", "3.13"])
@nox.parametrize(
    "versions", ["alibabacloud-tea-openapi==0.3.16 alibabacloud-ecs20140526<6",
                 "alibabacloud-tea-openapi==0.4.4 alibabacloud-ecs20140526<7.10", "alibabacloud-ecs20140526"])
def openapi(session, versions):
    """V2.0 clients in threads, tasks and loops, on the oldest and newest alibabacloud-tea-openapi, and one between."""
    install(session, ".[test,openapi]", "uvloop", "mypy", *versions.split())
    session.run(
        "python", "-m", "pytest", "-q", "-n", "auto", "tests/openapi", "tests/common/test_asyncio.py",
        "tests/test_imports.py", "tests/test_docs.py", "tests/examples/test_programs.py", *session.posargs)


@nox.session(python=["3.8", "3.11", "3.13"], name="oss-v2")
@nox.parametrize("version", ["oldest", "newest"])
def oss_v2(session, version):
    """Clients of the oldest and newest alibabacloud-oss-v2: each body, operation and transfer, in threads and tasks."""
    # Before 1.4.0 the SDK reads asynchronous iterators by what came with Python 3.10.
    oldest = "==1.4.0" if session.python == "3.8" else "==1.2.0"
    wanted = "alibabacloud-oss-v2" + (oldest if version == "oldest" else "")
    install(session, ".[test,openapi,oss-v2]", "aiohttp", "uvloop", "mypy", "alibabacloud-ecs20140526", wanted)
    session.run(
        "python", "-m", "pytest", "-q", "-n", "auto", "tests/oss_v2", "tests/common/test_bodies.py",
        "tests/test_imports.py", "tests/test_docs.py", "tests/examples/test_programs.py", *session.posargs)


@nox.session(python=["3.9", "3.11"])
def parity(session):
    """The official client, as backend and as witness of what ours send and answer."""
    install(session, ".[test]", "aliyun-secret-manager-client", "alibabacloud-dkms-gcs==1.0.2")
    session.run("python", "-m", "pytest", "-q", "-n", "auto", "tests/parity", *session.posargs)


@nox.session
def examples(session):
    """The examples, with the SDKs and servers that they are for."""
    install(session, ".[test]", "aliyun-log-python-sdk", "tablestore", "gunicorn", "flask", "celery")
    session.run("python", "-m", "pytest", "-q", "tests/examples", *session.posargs)


@nox.session(python=PYTHONS)
def processes(session):
    """Real processes over rotations: gunicorn, celery, gevent, pools, forks, stops and exits."""
    install(session, ".[test]", "gunicorn", "celery", "gevent")
    session.run(
        "python", "-m", "pytest", "-q", "-n", "auto", "-m", "matrix or not matrix", "tests/processes", *session.posargs)


@nox.session
def sdk_suites(session):
    """The SDKs' own tests, with the proxies in place of the clients."""
    install(session, ".[test]", "aliyun-python-sdk-ecs")
    session.run("python", "tests/sdk_suites/run.py", "--cache", session.create_tmp(), *session.posargs)


@nox.session(python="3.9", name="drop-in")
def drop_in(session):
    """The same programs with the plugins 0.1.4, which need Python 3.9 or older, and with this package."""
    for sdk in ("openapi", "oss"):
        install(session, "aliyun-{}-python-sdk-managed-credentials-provider==0.1.4".format(sdk))
    ours = os.path.abspath(os.path.join(session.create_tmp(), "ours"))
    session.run("python", "-m", "venv", "--clear", ours)
    python = os.path.join(ours, "bin", "python")
    session.run(python, "-m", "pip", "install", "-q", ".[testing]", external=True)
    session.run("python", "tests/drop_in/run.py", "--existing", "python", "--ours", python, *session.posargs)
