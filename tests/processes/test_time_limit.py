"""A test shows where a program hangs that exceeds the time limit."""

import pytest

from . import conftest

HANGS = """
    import os, threading

    def lies_in_wait():
        print('"hangs"', flush=True)
        threading.Event().wait()

    def waits_for_its_child(child):
        os.waitpid(child, 0)

    waits_for_its_child(os.fork() or lies_in_wait())
"""


@pytest.mark.parametrize("wait", [lambda program, until: program.ends(), lambda program, until: program.says(),
                                  lambda program, until: until(lambda: False)], ids=["its end", "a word", "what it does"])
def test_stacks_of_a_program_and_of_its_child_show_where_it_hangs(start, until, monkeypatch, wait):
    program = start(HANGS)
    assert program.says() == "hangs"
    monkeypatch.setattr(conftest, "PATIENCE", 0.1)

    with pytest.raises(AssertionError) as caught:
        wait(program, until)

    assert "in waits_for_its_child" in str(caught.value)
    assert "in lies_in_wait" in str(caught.value)
