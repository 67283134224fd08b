#!/usr/bin/env python3
# Results do not depend on how a run is carried out: tests/same/run.py [--leat build/leat]. Programs
# over the sample data are run plainly, then with other numbers of workers, the other I/O engine,
# tiny reads and batches, each instruction set, the row evaluator, compressed input in one frame or
# many; outputs, rejects and ledgers must be equal (sorted with --order none).
import argparse
import json
import os
import subprocess
import sys
import tempfile

LIMIT = 300  # seconds
PROGRAMS = {
    'filter': 'where dep_delay > 60 | put hours = dep_delay / 60.0, route = origin + "-" + dest'
              ' | select time_hour, carrier, flight, route, hours',
    'edit': 'put late = has(dep_delay) && dep_delay > 15, distance = distance * 2 | drop year, month'
            ' | rename plane = tailnum',
    'strings': 'where tailnum.startsWith("N1") || dest in ["IAH", "MIA"] | select dest, n = size(tailnum)',
    'head': 'where origin == "JFK" | skip 100 | head 1000',
    'sample': 'sample 10%',
    'rejects': 'where strict dep_delay % 2 == 0 | select flight, dep_delay',
    'pass': 'pass',
}
# (arguments, environment, whether records may come in another order)
VARIANTS = {
    'one worker': (['-j', '1'], {}, False),
    'two workers': (['-j', '2'], {}, False),
    'seven workers': (['-j', '7'], {}, False),
    'posix engine': (['--io', 'posix'], {}, False),
    'order none': (['--order', 'none', '-j', '7'], {}, True),
    'row evaluator': ([], {'LEAT_EVAL': 'row'}, False),
    'portable': ([], {'LEAT_ISA': 'portable'}, False),
    'avx2': ([], {'LEAT_ISA': 'avx2'}, False),
    'reads of 7 bytes': (['-j', '2'], {'LEAT_READ_SIZE': '7'}, False),
    'batches of a record': (['-j', '7'], {'LEAT_BATCH_TEXT': '1'}, False),
    'batches of 300 bytes': (['-j', '2', '--io', 'posix'], {'LEAT_BATCH_TEXT': '300'}, False),
    'little memory': (['--memory', '16MiB'], {}, False),
}
SLOW = ('reads of', 'batches of')  # on a tenth of the data
KEYS = ('read', 'created', 'written', 'filtered', 'absorbed', 'rejected')


def leat_run(leat, program, path, variant):
    """(status, output, rejects without their times, ledger)"""
    arguments, environment, unordered = variant
    source = f'from file {json.dumps(path)} {{ null "NA" }} | '
    command = [leat, '-q', source + program + ' | fail when rejected > 100%', '--to', 'ndjson', '--reject',
               'bad.ndjson', '--report', 'report.json', *arguments]
    for name in ('bad.ndjson', 'report.json'):
        if os.path.exists(name):
            os.unlink(name)
    result = subprocess.run(command, capture_output=True, timeout=LIMIT, check=False,
                            stdin=subprocess.DEVNULL, env={**os.environ, **environment})
    lines = result.stdout.splitlines()
    rejects, ledger = [], {}
    if os.path.exists('bad.ndjson'):
        with open('bad.ndjson', encoding='utf-8') as file:
            rejects = [{**json.loads(line), 'time': ''} for line in file]
    if os.path.exists('report.json'):
        with open('report.json', encoding='utf-8') as file:
            report = json.load(file)
        ledger = {key: report.get(key) for key in KEYS}
    if unordered:
        lines.sort()
        rejects.sort(key=lambda reject: reject['line'])
    return result.returncode, lines, rejects, ledger, result.stderr.decode(errors='replace')[-600:]


def difference(one, other, unordered):
    """The first difference in words, or None."""
    if one[0] != other[0]:
        return f'status {other[0]}, wanted {one[0]}: {other[4]}'
    wanted = sorted(one[1]) if unordered else one[1]
    if wanted != other[1]:
        place = next((n for n, (a, b) in enumerate(zip(wanted, other[1])) if a != b), 'the end')
        return f'{len(other[1])} lines, wanted {len(wanted)}; they differ at {place}'
    if one[2] != other[2]:
        return f'rejects differ: {len(other[2])}, wanted {len(one[2])}'
    if one[3] != other[3]:
        return f'ledger {other[3]}, wanted {one[3]}'
    return None


def main():
    parser = argparse.ArgumentParser(description='results do not depend on how a run is carried out')
    parser.add_argument('--leat', default='build/leat')
    arguments = parser.parse_args()
    leat = os.path.abspath(arguments.leat)
    data = os.path.abspath('examples/data/flights.csv.zst')
    passed = failed = 0
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        subprocess.run(f'zstd -dcq {data} > whole.csv; head -n 2701 whole.csv > tenth.csv; '
                       'split -b 300000 --filter="zstd -qc" whole.csv > many.csv.zst; '
                       'gzip -c whole.csv > whole.csv.gz', shell=True, check=True)
        for name, program in PROGRAMS.items():
            plain = {path: leat_run(leat, program, path, ([], {}, False))
                     for path in ('whole.csv', 'tenth.csv')}
            runs = [(what, 'tenth.csv' if what.startswith(SLOW) else 'whole.csv', variant)
                    for what, variant in VARIANTS.items()]
            runs += [(path, path, ([], {}, False)) for path in (data, 'many.csv.zst', 'whole.csv.gz')]
            for what, path, variant in runs:
                # a reject names its source, and a sample depends on it: compare what may be compared
                one = plain['tenth.csv' if path == 'tenth.csv' else 'whole.csv']
                other = leat_run(leat, program, path, variant)
                if path not in plain:
                    for reject in one[2] + other[2]:
                        reject['source'] = ''
                    if name == 'sample':
                        continue
                unordered = variant[2]
                if unordered and name in ('head', 'sample'):
                    continue  # which records are the first is a matter of order
                found = difference(one, other, unordered)
                if plain['whole.csv'][0] != 0:
                    found = f'the plain run fails: {plain["whole.csv"][4]}'
                passed, failed = passed + (not found), failed + bool(found)
                if found:
                    print(f'FAILED: {name}: {what}: {found}')
        os.chdir('/')
    print(f'{passed} passed, {failed} failed')
    sys.exit(1 if failed else 0)


main()
