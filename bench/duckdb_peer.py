#!/usr/bin/env python3
# Runs one SQL statement in DuckDB with two threads and prints its own wall and CPU seconds as JSON,
# so that starting Python counts neither for nor against it: duckdb_peer.py SQL. Used by bench/run.py.
import json
import resource
import sys
import time

import duckdb

database = duckdb.connect()
database.execute('SET threads = 2')
before = resource.getrusage(resource.RUSAGE_SELF)
start = time.perf_counter()
database.execute(sys.argv[1])
wall = time.perf_counter() - start
after = resource.getrusage(resource.RUSAGE_SELF)
print(json.dumps({'wall': wall, 'cpu': after.ru_utime - before.ru_utime + after.ru_stime
                  - before.ru_stime}))
