#!/usr/bin/env python3
# Makes every I/O operation and every allocation of some runs fail, once and from then on, and checks
# that each run ends in a clear error and the right status, and leaves either the whole result or the
# old target: never half of one. tests/torture/run.py --leat BUILD/leat [--stride N]: every N-th point.
import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor

RECORDS = ''.join('{"n":%d,"m":%d,"t":"text %d"}\n' % (i, i % 7, i) for i in range(200))

# name: program, target, whether the target may be compared byte by byte
CASES = {
    'aggregate': ('from file "in.ndjson" where m > 1 | put a = n * 2, b.c = "x" + string(n) '
                  '| skip 3 | count by m, k = a % 3 into file "out.csv.zst" '
                  'reject into file "rejects.ndjson"', 'out.csv.zst'),
    'regex': ('from file "in.ndjson" | parse t with r"(?P<word>\\w+) (?P<number>\\d+)" '
              '| where number.matches("^1") && [1, 2].exists(x, x == m) into file "out.ndjson.gz"',
              'out.ndjson.gz'),
    'sqlite': ('from file "in.ndjson" | select n, m, t | into sqlite "out.db" '
               '{ table records  mode replace }', 'out.db'),
    'compressed': ('from file "in.ndjson.zst" | where n % 2 == 0 | rename number = n '
                   '| into file "out.json" { format json }', 'out.json'),
}
STATUSES = (1, 2)  # 2: the program file could not be read, before anything else


def run(leat, folder, fault):
    environment = {**os.environ, 'LEAT_FAULT': fault}
    return subprocess.run([leat, 'run', 'p.conf', '--quiet'], cwd=folder, env=environment,
                          stdin=subprocess.DEVNULL, capture_output=True, timeout=120)


def content(folder, target):
    path = os.path.join(folder, target)
    if not os.path.exists(path):
        return None
    if target.endswith('.db'):
        asked = subprocess.run(['sqlite3', path, 'select * from records order by n'],
                               capture_output=True)
        return asked.stdout
    with open(path, 'rb') as file:
        return file.read()


def prepare(folder, case):
    with open(os.path.join(folder, 'p.conf'), 'w') as file:
        file.write(CASES[case][0].replace(' into ', '\ninto ').replace(' reject', '\nreject'))
    with open(os.path.join(folder, 'in.ndjson'), 'w') as file:
        file.write(RECORDS)
    subprocess.run(['zstd', '-q', '-f', 'in.ndjson'], cwd=folder, check=True)


def put_old(folder, target):
    for name in os.listdir(folder):
        if name not in ('p.conf', 'in.ndjson', 'in.ndjson.zst'):
            os.unlink(os.path.join(folder, name))
    path = os.path.join(folder, target)
    if target.endswith('.db'):
        subprocess.run(['sqlite3', path, 'create table records(n, m, t); '
                                         'insert into records values (-1, -1, "old")'], check=True)
    else:
        with open(path, 'wb') as file:
            file.write(b'old')


def check(leat, folder, case, fault, good):
    """None, or what is wrong."""
    target = CASES[case][1]
    put_old(folder, target)
    old = content(folder, target)
    try:
        done = run(leat, folder, fault)
    except subprocess.TimeoutExpired:
        return 'hangs'
    message = done.stderr.decode(errors='replace')
    now = content(folder, target)
    if done.returncode == 0:
        return None if now == good else 'status 0, but the result is another'
    if done.returncode not in STATUSES:
        return f'status {done.returncode}: {message[-600:]}'
    if 'error' not in message:
        return f'status {done.returncode} without a word: {message!r}'
    if now not in (old, good):
        return f'status {done.returncode}, and half a result: {now!r:.200}'
    return None


def points(leat, folder):
    counted = run(leat, folder, 'count')
    found = re.search(rb'fault points: io (\d+) alloc (\d+)', counted.stderr)
    if counted.returncode != 0 or not found:
        sys.exit(f'torture: the undisturbed run fails: {counted.stderr.decode()}')
    return int(found.group(1)), int(found.group(2))


def torture(leat, case, stride):
    folder = tempfile.mkdtemp(prefix='leat-torture-')
    try:
        prepare(folder, case)
        put_old(folder, CASES[case][1])
        io_count, alloc_count = points(leat, folder)
        good = content(folder, CASES[case][1])
        faults = []
        for more in ('', '+'):
            faults += [f'io:{n}{more}:{errno}' for errno in ('EIO', 'ENOSPC')
                       for n in range(1, io_count + 3, stride)]
            faults += [f'alloc:{n}{more}' for n in range(1, alloc_count + 3, stride)]
        passed = failed = 0
        for fault in faults:
            wrong = check(leat, folder, case, fault, good)
            passed += wrong is None
            failed += wrong is not None
            if wrong and failed <= 10:
                print(f'FAILED: {case}: LEAT_FAULT={fault}: {wrong}', flush=True)
        return passed, failed
    finally:
        shutil.rmtree(folder)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--leat', default='build/leat')
    parser.add_argument('--stride', type=int,
                        default=7 if os.environ.get('LEAT_SANITIZED') else 1)
    parser.add_argument('cases', nargs='*', default=list(CASES))
    arguments = parser.parse_args()
    leat = os.path.abspath(arguments.leat)
    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(lambda case: torture(leat, case, arguments.stride),
                                arguments.cases))
    passed, failed = sum(r[0] for r in results), sum(r[1] for r in results)
    print(f'{passed} passed, {failed} failed')
    sys.exit(1 if failed else 0)


main()
