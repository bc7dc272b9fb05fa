"""The milliseconds of an import, and the number of modules that it loads, in an interpreter of its own."""

import importlib
import json
import sys
import time

before = len(sys.modules)
started = time.perf_counter()
importlib.import_module(sys.argv[1])
print(json.dumps([1e3 * (time.perf_counter() - started), len(sys.modules) - before]))
