"""What ``nox -s dist`` builds: the wheel, the source distribution, and the lines of the page about installation."""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import tarfile
import venv
import zipfile

import pytest

pytestmark = pytest.mark.matrix

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
PACKAGES = sorted(path.name for path in ROOT.glob("aliyun_sdk_secretsmanager_*") if path.is_dir())
# What a checkout may have besides the project's files.
LEFT_OUT = (".git", ".venv", ".nox", ".*_cache", ".hypothesis", "__pycache__", "*.egg-info", "build", "dist", "_build",
            "mutants", "results.json")
NAME = "aliyun_sdk_managed_credentials_providers"
PAGES = [ROOT / "docs/install.rst", ROOT / "docs/zh-cn/install.rst"]


def run(*arguments, **options):
    subprocess.run(list(map(str, arguments)), check=True, **options)


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """A copy of the project's files, which need not be in git here, after a build of an older version."""
    directory = tmp_path_factory.mktemp("tree") / "project"
    shutil.copytree(str(ROOT), str(directory), ignore=shutil.ignore_patterns(*LEFT_OUT))
    stale = directory / "build/lib" / PACKAGES[0] / "deleted_since.py"
    stale.parent.mkdir(parents=True)
    stale.write_text("")
    return directory


@pytest.fixture(scope="module")
def built(tree):
    """The directory with the wheel and the source distribution."""
    run(sys.executable, "-m", "build", "-q", "--wheel", "--sdist", tree)
    return tree / "dist"


@pytest.fixture(scope="module")
def wheel(built):
    (path,) = built.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def names(wheel):
    with zipfile.ZipFile(str(wheel)) as archive:
        return archive.namelist()


def test_the_index_takes_both(built):
    run(sys.executable, "-m", "twine", "check", "--strict", *sorted(built.iterdir()))


class TestWheel:
    def test_has_the_packages_with_their_types_and_no_others(self, names):
        assert {name.split("/")[0] for name in names if name.endswith(".py")} == set(PACKAGES)
        assert {name for name in names if name.endswith("py.typed")} == {each + "/py.typed" for each in PACKAGES}

    def test_has_the_example_of_the_properties_file(self, names):
        assert "aliyun_sdk_secretsmanager_common_plugin/managed_credentials_providers.properties.example" in names

    def test_has_no_module_that_an_older_build_left(self, names):
        assert not [name for name in names if "deleted_since" in name]

    def test_describes_itself(self, wheel, names):
        (metadata,) = [name for name in names if name.endswith(".dist-info/METADATA")]
        with zipfile.ZipFile(str(wheel)) as archive:
            text = archive.read(metadata).decode("utf-8")

        assert re.search("^Author: .+", text, re.M)
        assert re.search("^License(-Expression)?: Apache-2.0$", text, re.M)
        assert len(re.findall("^Classifier: ", text, re.M)) >= 12
        assert len(re.findall("^Project-URL: ", text, re.M)) >= 4
        # Nothing in the description leads to a file beside it, which the index does not have.
        assert re.findall(r"<(?!https://)[^<>]+>`_|image:: (?!https://)", text) == []

    def test_all_is_every_sdk_and_what_programs_use(self, wheel, names):
        (metadata,) = [name for name in names if name.endswith(".dist-info/METADATA")]
        with zipfile.ZipFile(str(wheel)) as archive:
            text = archive.read(metadata).decode("utf-8")

        def required(extra):
            return {match.group(1).lower().replace("_", "-") for match in re.finditer(
                r"^Requires-Dist: ([\w-]+).*extra == ['\"]{}['\"]".format(extra), text, re.M)}

        wanted = [required(extra) for extra in ("oss", "openapi", "oss-v2", "identities", "cli", "prometheus", "redis")]
        assert all(wanted)
        assert required("all") == set().union(*wanted)


def test_the_source_distribution_has_what_its_tests_read(tree, built):
    (path,) = built.glob("*.tar.gz")
    with tarfile.open(str(path)) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    wanted = {str(each.relative_to(tree)) for folder in ("tests", "docs", "examples", "benchmarks")
              for each in (tree / folder).rglob("*") if each.is_file()}

    assert wanted | {".ci/run", "noxfile.py", "pyproject.toml", "LICENSE", "README.zh-cn.rst"} <= names


def blocks(page):
    """Return the code blocks of a page: the language and the text of each."""
    blocks = re.findall(r"^\.\. code-block:: (\w+)\n\n((?:   .*\n|\n)+)", page.read_text(encoding="utf-8"), re.M)
    return [(lexer, re.sub("^   ", "", block, flags=re.M).strip()) for lexer, block in blocks]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.parent.name)
class TestLines:
    @pytest.fixture
    def repository(self, tree, tmp_path):
        """A repository that has the project."""
        directory = tmp_path / "repository"
        shutil.copytree(str(tree), str(directory), ignore=shutil.ignore_patterns("build", "dist", "*.egg-info"))
        for arguments in (["init", "-q"], ["add", "-A"],
                          ["-c", "user.name=me", "-c", "user.email=me@example.org", "commit", "-q", "-m", "All"]):
            run("git", *arguments, cwd=str(directory))
        return "git+file://localhost{}".format(directory)

    @pytest.fixture
    def environment(self, tmp_path):
        venv.create(str(tmp_path / "venv"), with_pip=True)
        return dict(os.environ, PATH="{}:{}".format(tmp_path / "venv/bin", os.environ["PATH"]))

    @pytest.mark.parametrize("source", ["repository", "wheel"])
    def test_install_it_with_its_extras(self, page, source, wheel, repository, environment, tmp_path):
        address = repository if source == "repository" else wheel.as_uri()
        shell, = [block for lexer, block in blocks(page) if lexer == "bash" and "FROM=" in block]
        shell = re.sub("FROM=.*", "FROM=" + address, shell)
        run("bash", "-ec", shell, env=environment, cwd=str(tmp_path))

        run("managed-credentials", "--version", env=environment)
        run("python", "-c", "import " + ", ".join(PACKAGES), env=environment, cwd=str(tmp_path))

    def test_are_one_for_a_file_of_requirements(self, page, wheel, environment, tmp_path):
        line, = [block for lexer, block in blocks(page) if lexer == "text" and NAME.replace("_", "-") in block]
        (tmp_path / "requirements.txt").write_text(re.sub("@ .*", "@ " + wheel.as_uri(), line))

        run("pip", "install", "-q", "--dry-run", "-r", tmp_path / "requirements.txt", env=environment)
