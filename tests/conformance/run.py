#!/usr/bin/env python3
# Runs leat on other people's cases: JSONTestSuite, csv-spectrum, the conformance tests of CEL, and
# the figures known of the flights: tests/conformance/run.py [--leat build/leat] [NAME…]. The cases
# lie in ../shared/data; what is not there is skipped, saying so.
import argparse
import base64
import csv
import io
import json
import math
import os
import re
import subprocess
import sys
import tempfile

DATA = os.path.abspath('../shared/data')
LIMIT = 300  # seconds
# Sanitizer builds start slowly: the best set only.
ISAS = ['avx512'] if os.environ.get('LEAT_SANITIZED') else ['avx512', 'avx2', 'portable']
# What the main bar asks of CEL: no extension but the strings' and the time zones' …
CEL_NEEDS = {'string_ext', 'tzdb', 'quoted_identifiers'}
# … and these functions.
CEL_FUNCTIONS = set('''size contains startsWith endsWith matches type int uint double string bool bytes
timestamp duration has dyn all exists exists_one map filter getDate getDayOfMonth getDayOfWeek
getDayOfYear getFullYear getHours getMilliseconds getMinutes getMonth getSeconds charAt indexOf
lastIndexOf join lowerAscii upperAscii replace split substring trim format reverse quote
strings'''.split())


class Tally:
    def __init__(self):
        self.passed = self.failed = 0

    def expect(self, what, good, detail=''):
        self.passed += bool(good)
        self.failed += not good
        if not good:
            print(f'FAILED: {what}: {detail!s:.600}')


def run(leat, arguments, stdin=b'', environment=None):
    return subprocess.run([leat, *arguments], input=stdin, capture_output=True, timeout=LIMIT,
                          check=False, env={**os.environ, **(environment or {})})


def data(name):
    path = os.path.join(DATA, name)
    if os.path.exists(path):
        return path
    print(f'skipped: {name} is not in ../shared/data')
    return None


def case_json(leat, tally):
    """Every y_ is accepted, every n_ refused, and the i_ alike at every instruction set."""
    folder = data('json')
    if not folder:
        return
    names = sorted(name for name in os.listdir(folder) if name.endswith('.json'))
    for name in names:
        program = f'from file {json.dumps(os.path.join(folder, name))} {{ format json values one }} | pass'
        said = {isa: run(leat, [program], environment={'LEAT_ISA': isa}).returncode for isa in ISAS}
        wanted = {'y': [0], 'n': [1], 'i': [0, 1]}[name[0]]
        tally.expect(name, set(said.values()) <= set(wanted) and len(set(said.values())) == 1, said)
    print(f'JSONTestSuite: {len(names)} files')


def case_csv(leat, tally):
    """csv-spectrum reads as its JSON; location_coordinates contradicts itself and is left out."""
    folder = data('csv/csvs')
    for name in sorted(os.listdir(folder)) if folder else []:
        stem = name[:-4]
        if stem == 'location_coordinates':
            continue
        program = f'from file {json.dumps(os.path.join(folder, name))} ' \
                  '{ format csv  types string  null none } | pass'
        result = run(leat, [program, '--to', 'ndjson'])
        seen = [json.loads(line) for line in result.stdout.splitlines()]
        with open(os.path.join(DATA, 'csv/json', stem + '.json'), encoding='utf-8') as file:
            wanted = json.load(file)
        tally.expect(f'csv-spectrum {stem}', seen == wanted, (seen, wanted, result.stderr))


def case_flights(leat, tally):
    """The figures of the data's README, and every cell as Python's csv module reads it."""
    path = data('flights.csv.zst')
    if not path:
        return
    source = f'from file {json.dumps(path)} {{ null "NA" }} | '
    counted = {}
    for name, program in (('all', 'count'), ('with a delay', 'where dep_delay != null | count'),
                          ('late', 'where dep_delay > 60 | count')):
        result = run(leat, [source + program, '--to', 'ndjson'])
        counted[name] = json.loads(result.stdout or b'{}').get('count')
    tally.expect('counts', counted == {'all': 336776, 'with a delay': 328521, 'late': 26581}, counted)
    for condition, wanted in (('true', 350217607), ('dep_delay > 60', 25212207)):
        result = run(leat, [source + f'where {condition} | select distance', '--to', 'ndjson'])
        total = sum(int(n) for n in re.findall(rb'"distance":(\d+)', result.stdout))
        tally.expect(f'sum of distances where {condition}', total == wanted, total)
    text = subprocess.run(['zstd', '-dcq', path], capture_output=True, check=True).stdout.decode()
    result = run(leat, [f'from file {json.dumps(path)} {{ types string  null none }} | pass',
                        '--to', 'ndjson'])
    rows = csv.DictReader(io.StringIO(text, newline=''))
    lines = result.stdout.decode().splitlines()
    different = next((n for n, (row, line) in enumerate(zip(rows, lines)) if row != json.loads(line)), None)
    tally.expect('cells', len(lines) == 336776 and different is None, (len(lines), different))
    again = run(leat, [f'from file {json.dumps(path)} {{ null none }} | pass', '--to', 'csv'])
    tally.expect('CSV to CSV', again.stdout.decode() == text, again.stderr)


def cel_functions(expression):
    """Names that are called, outside of strings."""
    bare = re.sub(r'''(?s)[rRbB]{0,2}("""(\\.|.)*?"""|\'\'\'(\\.|.)*?\'\'\'|"(\\.|[^"])*"|'(\\.|[^'])*')''',
                  ' ', expression)
    return set(re.findall(r'(\w+)\s*\(', bare)) - {'in'}


def cel_same(seen, wanted):
    """Kind and value; maps without order; NaN equals NaN, 0.0 equals -0.0."""
    if not isinstance(seen, dict) or not isinstance(wanted, dict) or seen.keys() != wanted.keys():
        return False
    kind = next(iter(wanted))
    one, other = seen[kind], wanted[kind]
    if kind == 'double':
        one, other = float(one), float(other)
        return one == other or (math.isnan(one) and math.isnan(other))
    if kind == 'list':
        return len(one) == len(other) and all(map(cel_same, one, other))
    if kind == 'map':
        rest = list(other)
        for key, value in one:
            match = next((r for r in rest if cel_same(key, r[0]) and cel_same(value, r[1])), None)
            if match is None:
                return False
            rest.remove(match)
        return not rest
    if kind == 'bytes':
        return base64.b64decode(one) == base64.b64decode(other)
    return one == other


def case_cel(leat, tally):
    """The CEL specification's own tests that need no more than the functions named above."""
    path = data('cel/dev.jsonl')
    if not path:
        return
    with open(path, encoding='utf-8') as file:
        cases = [json.loads(line) for line in file]
    result = run(leat, ['eval', '--cases', path])
    lines = result.stdout.decode().splitlines()
    tally.expect('a line for each case', len(lines) == len(cases), (len(lines), result.stderr))
    asked = good = others = others_good = 0
    for case, line in zip(cases, lines):
        if case.get('check_only'):
            continue
        said = json.loads(line)
        fine = 'error' in said if 'error' in case else \
            'value' in said and cel_same(said['value'], case.get('value'))
        core = set(case.get('needs', [])) <= CEL_NEEDS and cel_functions(case['expr']) <= CEL_FUNCTIONS
        if core:
            asked, good = asked + 1, good + fine
            tally.expect(f'{case["file"]}/{case["section"]}/{case["name"]}: {case["expr"]}', fine, line)
        else:
            others, others_good = others + 1, others_good + fine
    print(f'CEL: {good} of {asked} cases asked for; of {others} others {others_good}')


def main():
    cases = {name[5:]: case for name, case in globals().items() if name.startswith('case_')}
    parser = argparse.ArgumentParser(description="runs leat on other people's cases")
    parser.add_argument('--leat', default='build/leat')
    parser.add_argument('names', nargs='*', metavar='NAME', help=' | '.join(cases))
    arguments = parser.parse_args()
    leat = os.path.abspath(arguments.leat)
    tally = Tally()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        for name in arguments.names or cases:
            cases[name](leat, tally)
        os.chdir('/')
    print(f'{tally.passed} passed, {tally.failed} failed')
    sys.exit(1 if tally.failed else 0)


main()
