#!/usr/bin/env python3
# Runs pipeline.conf and every pipeline of examples/ in a copy of the tree's examples and compares
# what they write with results computed here, by Python's own csv, json and re modules:
# tests/examples/run.py [--leat build/leat] [NAME…]. Each also has to pass `check` and `fmt --check`,
# and to give the same a second time.
import argparse
import csv
import datetime
import gzip
import io
import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections import Counter, defaultdict

LIMIT = 240  # seconds


def text_of_zstd(path):
    return subprocess.run(['zstd', '-dcq', path], capture_output=True, check=True).stdout.decode()


def flights():
    """Rows as dictionaries of text, as the csv module reads them."""
    return list(csv.DictReader(io.StringIO(text_of_zstd('examples/data/flights.csv.zst'), newline='')))


def number(text):
    """A cell as leat types it: NA is null, numbers are numbers."""
    if text == 'NA':
        return None
    return json.loads(text) if re.fullmatch(r'-?(0|[1-9]\d*)(\.\d+)?([eE][-+]?\d+)?', text) else text


def lines_json(path):
    with open(path, encoding='utf-8') as file:
        return [json.loads(line) for line in file]


def equal(what, seen, wanted):
    if seen == wanted:
        return []
    if isinstance(seen, list) and isinstance(wanted, list):
        for number_of, (one, other) in enumerate(zip(seen, wanted)):
            if one != other:
                return [f'{what}: item {number_of}: {one!r}, wanted {other!r}']
        return [f'{what}: {len(seen)} items, wanted {len(wanted)}']
    return [f'{what}: {seen!r}, wanted {wanted!r}']


def pipeline(report):
    wanted = []
    rows = flights()
    for row in rows:
        delay = number(row['dep_delay'])
        if delay is not None and delay > 60:
            wanted.append((row['time_hour'], row['carrier'], int(row['flight']),
                           row['origin'] + '-' + row['dest'], delay / 60.0))
    with sqlite3.connect('delays.db') as database:
        seen = database.execute('SELECT time_hour, carrier, flight, route, late_hours '
                                'FROM delays ORDER BY rowid').fetchall()
    return equal('rows of delays', seen, wanted) + equal('ledger', {
        key: report[key] for key in ('read', 'written', 'filtered', 'absorbed', 'rejected', 'created')
    }, {'read': len(rows), 'written': len(wanted), 'filtered': len(rows) - len(wanted), 'absorbed': 0,
        'rejected': 0, 'created': 0})


def apache_errors(report):
    pattern = re.compile(r'(\S+) \S+ (\S+) \[([^\]]+)\] "([A-Z]+) (\S+) [^"]*" (\d{3}) (\d+|-) '
                         r'"([^"]*)" "(.*)"')
    wanted, rejected = [], 0
    with gzip.open('examples/data/apache_access.log.gz', 'rt', encoding='utf-8', newline='\n') as file:
        for line in file:
            match = pattern.fullmatch(line.rstrip('\n'))
            if not match:
                rejected += 1
                continue
            client, _, when, method, path, status, size, _, agent = match.groups()
            if int(status) >= 400:
                time = datetime.datetime.strptime(when, '%d/%b/%Y:%H:%M:%S %z')
                time = time.astimezone(datetime.timezone.utc).strftime('%Y-%m-%dT%H:%M:%SZ')
                wanted.append({'time': time, 'status': int(status), 'method': method, 'path': path,
                               'client': client, 'sent': 0 if size == '-' else int(size),
                               'agent': agent})
    return equal('errors', lines_json('apache_errors.ndjson'), wanted) + \
        equal('rejected', report['rejected'], rejected)


def partition(report):
    wanted = defaultdict(list)
    header, *lines = text_of_zstd('examples/data/flights.csv.zst').splitlines()
    names = header.split(',')
    for line in lines:
        row = dict(zip(names, line.split(',')))
        wanted[f'flights/{row["origin"]}/{row["carrier"]}.csv.zst'].append(line)
    seen = {}
    for folder, _, files in os.walk('flights'):
        for name in files:
            path = os.path.join(folder, name)
            seen[path] = text_of_zstd(path).splitlines()
    found = equal('files', sorted(seen), sorted(wanted))
    for path in sorted(wanted):
        found += equal(path, seen.get(path), [header] + wanted[path])
    return found + equal('written', report['written'], len(lines))


def clean(report):
    wanted, rejected = [], []
    with open('examples/data/signups.ndjson', encoding='utf-8') as file:
        for line_number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                record = json.loads(line)
                if record.get('plan') in ('test', 'internal'):
                    continue
                email = record['email'].strip().lower()
                age = record.get('age')
                age = None if age is None else int(age)
            except (ValueError, AttributeError, KeyError):
                rejected.append(line_number)
                continue
            if not re.fullmatch(r'[^@\s]+@[^@\s]+\.[a-z]+', email):
                continue
            name = record.get('name')
            country = (record.get('address') or {}).get('country') or record.get('country') or '??'
            record.update(email=email, name=('unknown' if name is None else name).strip(), age=age,
                          country=country.upper())
            record.pop('address', None)
            record.pop('debug', None)
            wanted.append(list(record.items()))
    seen = [list(record.items()) for record in lines_json('signups_clean.ndjson')]
    lines = [reject['line'] for reject in lines_json('signups_rejected.ndjson')]
    return equal('clean', seen, wanted) + equal('rejected lines', lines, rejected) + \
        equal('rejected', report['rejected'], len(rejected))


def count(report):
    wanted = Counter()
    for row in flights():
        delay = number(row['dep_delay'])
        departure = 'cancelled' if delay is None else 'late' if delay > 15 else 'in time'
        wanted[row['carrier'], departure] += 1
    with open('carriers.csv', encoding='utf-8', newline='') as file:
        seen = {(row['carrier'], row['departure']): int(row['count']) for row in csv.DictReader(file)}
    return equal('counts', sorted(seen.items()), sorted(wanted.items())) + \
        equal('absorbed', report['absorbed'], sum(wanted.values()))


def convert(_):
    wanted = []
    for row in flights():
        record = {}
        for name, text in row.items():
            if name in ('year', 'month', 'day', 'hour', 'minute'):
                continue
            name = {'dep_time': 'departed', 'arr_time': 'arrived'}.get(name, name)
            keep = name in ('flight', 'tailnum') and text != 'NA'
            record[name] = text if keep else number(text)
        wanted.append(list(record.items()))
    text = text_of_zstd('flights.ndjson.zst')
    return equal('records', [list(json.loads(line).items()) for line in text.splitlines()], wanted)


def sample(_):
    rows = flights()
    possible = Counter()
    for row in rows:
        kilometres = int(row['distance']) * 1.609344
        possible['\t'.join([row['carrier'], row['flight'], row['origin'], row['dest'],
                            '' if row['dep_delay'] == 'NA' else row['dep_delay'],
                            repr(kilometres)])] += 1
    with open('sample.tsv', encoding='utf-8') as file:
        header, *seen = file.read().splitlines()
    foreign = Counter(seen) - possible
    found = equal('header', header, 'carrier\tflight\torigin\tdest\tdelay\tkm') + \
        equal('rows that no flight gives', list(foreign)[:3], [])
    share = len(seen) / len(rows)
    if not 0.006 < share < 0.014:  # six standard deviations
        found.append(f'a share of {share:.4f}, wanted about 0.01')
    return found


EXAMPLES = {'pipeline': pipeline, **{f.__name__: f for f in
            (apache_errors, partition, clean, count, convert, sample)}}


def run(leat, *arguments):
    result = subprocess.run([leat, *arguments], capture_output=True, timeout=LIMIT, check=False,
                            stdin=subprocess.DEVNULL)
    if result.returncode:
        return [f'leat {" ".join(arguments)}: status {result.returncode}\n{result.stderr.decode()}']
    return []


def example_test(name, leat):
    path = 'pipeline.conf' if name == 'pipeline' else f'examples/{name}.conf'
    yield 'check', run(leat, 'check', path)
    yield 'fmt', run(leat, 'fmt', '--check', path)
    for turn in ('first', 'second'):
        found = run(leat, 'run', path, '--report', 'report.json')
        if not found:
            try:
                with open('report.json', encoding='utf-8') as file:
                    found = EXAMPLES[name](json.load(file))
            except (OSError, ValueError, KeyError, subprocess.CalledProcessError) as error:
                found = [f'the result cannot be read: {error}']
        left = [f for f in os.listdir('.') if f.endswith('.leat-part')]
        yield f'{turn} run', found + equal('part files left', left, [])


def enrich(leat):
    """The whole chain with its servers; its figures against a count by Python. Names and findings."""
    build = os.path.dirname(leat)
    ran = subprocess.run([sys.executable, 'examples/enrich/enrich.py', '--build', build],
                         capture_output=True, text=True, timeout=LIMIT, check=False)
    if ran.returncode == 77:
        return [('enrich: skipped, PostgreSQL is not installed', [])]
    if ran.returncode:
        return [('enrich', [f'status {ran.returncode}', ran.stderr[-2000:]])]
    pattern = re.compile(r'(\S+) \S+ \S+ \[[^\]]+\] "[A-Z]+ \S+ [^"]*" \d{3} (?:\d+|-) "[^"]*" ".*"')
    with gzip.open('examples/data/apache_access.log.gz', 'rt', encoding='utf-8', newline='\n') as file:
        lines = [line.rstrip('\n') for line in file]
    clients = [match.group(1) for match in map(pattern.fullmatch, lines) if match]
    with open('enrich_report.json', encoding='utf-8') as file:
        report = json.load(file)
    rows = len(clients)
    return [('enrich: ledger', equal('ledger', [report['read'], report['written'], report['rejected']],
                                     [len(lines), rows, len(lines) - rows])),
            ('enrich: rows', equal('rows, places, meanings, clients', ran.stdout.splitlines()[-1],
                                   f'{rows} | {rows} | {rows} | {len(set(clients))}')),
            ('enrich: rejects', equal('rejects', len(lines_json('enrich_rejected.ndjson')),
                                      len(lines) - rows))]


def main():
    parser = argparse.ArgumentParser(description='runs the examples')
    parser.add_argument('--leat', default='build/leat')
    parser.add_argument('names', nargs='*')
    arguments = parser.parse_args()
    leat = os.path.abspath(arguments.leat)
    root = os.getcwd()
    passed = failed = 0
    files = {name[:-5] for name in os.listdir('examples') if name.endswith('.conf')} | {'pipeline'}
    if files != set(EXAMPLES):
        print(f'FAILED: not tested, or gone: {" ".join(files ^ set(EXAMPLES))}')
        failed += 1
    for name in arguments.names or [*EXAMPLES, 'enrich']:
        with tempfile.TemporaryDirectory() as folder:
            shutil.copytree('examples', os.path.join(folder, 'examples'))
            shutil.copy('pipeline.conf', folder)
            os.chdir(folder)
            for what, found in enrich(leat) if name == 'enrich' else example_test(name, leat):
                passed, failed = passed + (not found), failed + bool(found)
                if found:
                    print(f'FAILED: {name}: {what}')
                    print('  ' + '\n'.join(found).replace('\n', '\n  '))
            os.chdir(root)
    print(f'{passed} passed, {failed} failed')
    sys.exit(1 if failed else 0)


main()
