"""Pools of processes of ``multiprocessing`` and ``concurrent.futures``, with every start method."""

import sys

import pytest

from tests.conftest import SECRET

pytestmark = pytest.mark.matrix

# Each task waits for the other one, so that both processes of a pool take part in a round.
PROGRAM = """
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor
    from tests.processes.calling import *

    client = together = None

    def begin(barrier, clients):
        global client, together
        client, together = clients or new_client(), barrier

    def task(number):
        together.wait(60)
        return call(client)[0]

    class Pool:
        def __init__(self, context, *arguments):
            self.pool = context.Pool(2, begin, arguments)
            self.map = self.pool.map

        def close(self):
            self.pool.close()
            self.pool.join()

    class Executor:
        def __init__(self, context, *arguments):
            self.executor = ProcessPoolExecutor(2, context, begin, arguments)
            self.close = self.executor.shutdown

        def map(self, *arguments):
            return list(self.executor.map(*arguments))

    if __name__ == "__main__":
        context = multiprocessing.get_context("{method}")
        made = new_client() if {in_parent} else None
        pool = {pool}(context, context.Barrier(2), made)
        for _ in range(3):
            tell(pool.map(task, range(2)))
            wait()
        pool.close()
        if made:
            call(made)
        tell(os.getpid())
"""


@pytest.mark.parametrize("pool", ["Pool", pytest.param("Executor", marks=pytest.mark.skipif(
    sys.version_info < (3, 7), reason="takes a context and an initializer from 3.7 on"))])
@pytest.mark.parametrize("in_parent", [True, False], ids=["client of the parent", "client of the process"])
@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_pool_over_two_rotations(start, cloud, log, method, in_parent, pool):
    """A client of the parent is inherited, or pickled. A pickled one reads the secret in its new process."""
    program = start(PROGRAM.format(method=method, in_parent=in_parent, pool=pool))
    keys = [cloud.secret(SECRET).current.access_key_id]
    processes = set(program.says())
    first_reads = 1 if in_parent and method == "fork" else 2 + in_parent
    assert len(processes) == 2
    assert log.fetches() == first_reads
    for _ in range(2):
        keys.append(cloud.rotate(SECRET).access_key_id)
        program.go_on()
        assert set(program.says()) == processes
    program.go_on()
    parent = program.says()

    assert program.ends() == 0, program.problems()
    assert "Traceback" not in program.problems()
    for process in processes:
        assert [call.access_key_id for call in log.by_process()[process] if call.status == 200] == keys
    assert log.fetches() == first_reads + 2 * 2 + in_parent
    assert log.rejected() == {(process, key) for process in processes for key in keys[:-1]} | (
        {(parent, keys[0])} if in_parent else set())
