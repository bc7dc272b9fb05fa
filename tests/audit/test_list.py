"""The list of known vulnerabilities that is kept by hand."""

import pytest

pytest.importorskip("importlib.metadata", reason="nox -s security runs on a newer Python")

from .run import of_the_list  # noqa: E402


def test_vulnerable_version_is_found_and_one_that_is_not_is_not():
    found, _ = of_the_list({"urllib3": "1.26.5", "cryptography": "9999"})

    assert "urllib3 1.26.5: CVE-2023-45803: the body sent on after a 303" in found
    assert all(line.startswith("urllib3 ") for line in found)


def test_one_without_a_remedy_on_this_python_is_told_apart(tmp_path, monkeypatch):
    (tmp_path / "list").write_text('requests<3; python_version<"3"  # CVE-1: of Python 2\nrequests<3  # CVE-2: of all\n')
    monkeypatch.setattr("tests.audit.run.LIST", str(tmp_path / "list"))

    assert of_the_list({"requests": "2.0"}) == (["requests 2.0: CVE-2: of all"], ["requests 2.0: CVE-1: of Python 2"])
