"""Reads of a cached key in 16 threads, beside a dictionary; and calls on loopback in 1, 16 and 64, beside the SDK."""

import functools
import statistics
import threading
import time

from clients import GIVEN, NAME, call, plain_client, proxy_client, reader, report, seconds_of

ROUNDS = 4
SECONDS = 1.0


def at_once(threads, work, *arguments):
    """Run ``work`` in threads that begin together."""
    together = threading.Barrier(threads)

    def run():
        together.wait()
        work(*arguments)

    running = [threading.Thread(target=run) for _ in range(threads)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()


def microseconds_of_a_read(function, *arguments):
    """Return the microseconds of one read in each of 16 threads."""
    done = []

    def work():
        until, reads = time.perf_counter() + SECONDS / 2, 0
        while time.perf_counter() < until:
            for _ in range(100):
                function(*arguments)
            reads += 100
        done.append(reads)

    seconds = seconds_of(at_once, 16, work)
    return 1e6 * seconds * len(done) / sum(done)


def calls_a_second(client, threads):
    done = []

    def work():
        until = time.perf_counter() + SECONDS
        while time.perf_counter() < until:
            call(client)
            done.append(1)

    seconds = seconds_of(at_once, threads, work)
    return len(done) / seconds


def in_turn(plain, other):
    """Return the median figures of two functions that take turns."""
    figures = [], []
    for number in range(2 * ROUNDS):
        at = (0, 1, 1, 0)[number % 4]
        figures[at].append((plain, other)[at]())
    return [statistics.median(each) for each in figures]


def one_call(clients):
    """Return the median seconds of single calls; the clients take turns at calling first."""
    figures = [], []
    for number in range(300):
        for at in (0, 1) if number % 2 else (1, 0):
            figures[at].append(seconds_of(call, clients[at]))
    return [statistics.median(each) for each in figures]


rows = [["read a cached key, 16 threads", "us", *in_turn(
    functools.partial(microseconds_of_a_read, {NAME: 1}.get, NAME),
    functools.partial(microseconds_of_a_read, *reader()))]]
if GIVEN["who"] in ("ours", "0.1.4"):
    clients = plain_client(), proxy_client()
    for client in clients:
        call(client)
    rows.append(["one call", "us", *(1e6 * each for each in one_call(clients))])
    for threads in (1, 16, 64):
        rows.append(["calls, {} thread{}".format(threads, "s" * (threads > 1)), "1/s", *in_turn(
            *(functools.partial(calls_a_second, client, threads) for client in clients))])
report(*rows)
