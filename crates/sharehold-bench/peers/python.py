"""Python's multiprocessing: its Lock, and a Value in shared memory, for processes that it forks itself.

Run as `python.py VERB PATH NUMBER` with PEER_PROCESSES in the environment; the verbs are those of harness.h.
"""

import multiprocessing
import os
import sys
import time


def say(line):
    os.write(1, (line + "\n").encode())


def work(verb, number, lock, value):
    say("ready")
    while os.read(0, 1):
        pass
    begin = time.monotonic_ns()
    if verb == "pass":
        for _ in range(number):
            lock.acquire()
            lock.release()
    elif verb == "count":
        for _ in range(number):
            with lock:
                value.value += 1
    say(f"begin={begin} end={time.monotonic_ns()} operations={number}")


def main():
    verb, number = sys.argv[1], int(sys.argv[3]) if len(sys.argv) > 3 else 0
    if verb in ("make", "unmake"):
        return
    context = multiprocessing.get_context("fork")
    lock, value = context.Lock(), context.RawValue("Q", 0)
    count = int(os.environ.get("PEER_PROCESSES", "1"))
    # Not their start(), which would close the standard input that all of them wait on.
    children = []
    for _ in range(count):
        child = os.fork()
        if child == 0:
            work(verb, number, lock, value)
            os._exit(0)
        children.append(child)
    for child in children:
        os.waitpid(child, 0)
    if verb == "count" and value.value != number * count:
        sys.exit(f"counted to {value.value}")


main()
