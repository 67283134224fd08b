#!/usr/bin/env python3
# Random programs of edits over records that lack fields: tests/model/run.py [--leat build/leat]
# [--seeds N] [--seed N]. What must come out, and in which order the fields stand, is worked out by a
# model of the language on ordered dictionaries that shares nothing with leat. A third of the seeds
# reads CSV, whose names are known before the run, and writes CSV, whose columns are fixed.
import argparse
import csv
import io
import json
import os
import random
import re
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor

NAMES = ['a', 'b', 'c', 'd']
LIMIT = 60  # seconds
RECORDS = 40
PATTERN = r'^p(?P<a>\d)(?P<c>z)?$'


class Reject(Exception):
    pass


def put(record, path, value):
    """A new field is appended, an old one changes in place; a link that is absent or null becomes a
    map."""
    if len(path) == 2:
        inner = record.get(path[0])
        if inner is not None and not isinstance(inner, dict):
            raise Reject
        inner = dict(inner or {})
        inner[path[1]] = value
        value = inner
    record[path[0]] = value


def drop(record, path):
    if len(path) == 1:
        record.pop(path[0], None)
    elif isinstance(record.get(path[0]), dict):
        record[path[0]] = {k: v for k, v in record[path[0]].items() if k != path[1]}


def renamed(fields, new, old):
    """In place; a field that has the new name gives way, unless there is nothing to rename."""
    if old not in fields or new == old:
        return fields
    return {new if k == old else k: v for k, v in fields.items() if k != new}


def parse(record, name, fixed):
    """Behind a select every record has the same fields; what did not match is null in new ones."""
    text = record.get(name)
    match = re.match(PATTERN, text) if isinstance(text, str) else None
    for group in ('a', 'c'):
        if match:
            record[group] = match.group(group)
        elif fixed:
            record.setdefault(group, None)


def step_apply(step, record):
    kind, *rest = step
    if kind == 'put':
        put(record, rest[0], rest[1])
    elif kind == 'copy':
        put(record, rest[0], record.get(rest[1]))
    elif kind == 'drop':
        drop(record, rest[0])
    elif kind == 'rename':
        return renamed(record, *rest)
    elif kind == 'rename inside':
        name, new, old = rest
        if isinstance(record.get(name), dict):
            record[name] = renamed(record[name], new, old)
    elif kind == 'select':
        return {name: record.get(name) for name in rest[0]}
    else:
        parse(record, *rest)
    return record


def step_text(step):
    kind, *rest = step
    if kind == 'put':
        return f'put {".".join(rest[0])} = {json.dumps(rest[1])}'
    if kind == 'copy':
        return f'put {".".join(rest[0])} = {rest[1]}'
    if kind == 'drop':
        return f'drop {".".join(rest[0])}'
    if kind == 'rename':
        return f'rename {rest[0]} = {rest[1]}'
    if kind == 'rename inside':
        return f'rename {rest[0]}.{rest[1]} = {rest[0]}.{rest[2]}'
    if kind == 'select':
        return 'select ' + ', '.join(rest[0])
    return f'parse {rest[0]} with r"{PATTERN}" {{ otherwise keep }}'


def steps_plan(dice, flat):
    """`there`: the names that may be there; the others are errors of the program."""
    there, steps = set(NAMES), []
    for _ in range(dice.randint(1, 7)):
        some, new = dice.choice(sorted(there)) if there else None, dice.choice(NAMES)
        kind = dice.choice(['put', 'copy', 'put inside', 'drop', 'drop inside', 'rename', 'rename',
                            'rename', 'rename inside', 'select', 'parse', 'parse'])
        if some is None or (flat and kind.endswith('inside')):
            kind = 'put'
        if kind == 'put':
            steps.append(('put', [new], len(steps) + 100))
        elif kind == 'copy':
            steps.append(('copy', [new], some))
        elif kind == 'put inside':
            steps.append(('put', [new, dice.choice('xy')], len(steps) + 100))
        elif kind == 'drop':
            steps.append(('drop', [some]))
            there.discard(some)
        elif kind == 'drop inside':
            steps.append(('drop', [some, dice.choice('xy')]))
        elif kind == 'rename':
            steps.append(('rename', new, some))
            there.discard(some)
        elif kind == 'rename inside':
            steps.append(('rename inside', some, *dice.sample('xyz', 2)))
        elif kind == 'select' and dice.randrange(4) == 0:
            names = dice.sample(sorted(there), dice.randint(1, len(there)))
            steps.append(('select', names))
            there = set(names)
        elif kind == 'parse':
            steps.append(('parse', some, any(s[0] == 'select' for s in steps)))
            there |= {'a', 'c'}
        if kind in ('put', 'copy', 'put inside', 'rename'):
            there.add(new)
    return steps


def value_make(dice, flat):
    return dice.choice([dice.randrange(10), None, 'p%d' % dice.randrange(10),
                        'p%dz' % dice.randrange(10), 'text',
                        7 if flat else {'x': dice.randrange(10), 'y': {'z': 1}},
                        8 if flat else {'y': 3}])


def records_make(dice, flat):
    records = []
    for _ in range(RECORDS):
        names = NAMES if flat else dice.sample(NAMES + ['e'], dice.randint(0, 5))
        records.append({name: value_make(dice, flat) for name in names})
    return records


def expected(steps, records):
    out = []
    for record in records:
        record = dict(record)
        try:
            for step in steps:
                record = step_apply(step, record)
            out.append(record)
        except Reject:
            pass
    return out


def csv_text(records):
    out = io.StringIO()
    writer = csv.writer(out, lineterminator='\n')
    writer.writerow(NAMES)
    for record in records:
        writer.writerow(['' if record[n] is None else record[n] for n in NAMES])
    return out.getvalue()


def leat_run(leat, program, text, source, target):
    """From a file, so that the names of a CSV are known before the run."""
    reject = ' | reject into file "/dev/null" | fail when rejected > 100%'
    with tempfile.NamedTemporaryFile('w', suffix='.' + source) as file:
        file.write(text)
        file.flush()
        command = [leat, '-q', program + reject, file.name, '--to', target]
        return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=LIMIT,
                              check=False, encoding='utf-8')


def rows_differ(wanted, text):
    """CSV says neither null nor absent: both are empty fields."""
    header, *rows = csv.reader(io.StringIO(text))
    filled = [{k: str(v) for k, v in record.items() if v is not None} for record in wanted]
    return [{k: v for k, v in zip(header, row) if v != ''} for row in rows] != filled


def seed_run(leat, seed):
    """None, or what is wrong."""
    dice = random.Random(seed)
    flat = seed % 3 == 0
    steps, records = steps_plan(dice, flat), records_make(dice, flat)
    program = ' | '.join(step_text(step) for step in steps) or 'pass'
    wanted = expected(steps, records)
    text = csv_text(records) if flat else ''.join(json.dumps(r) + '\n' for r in records)
    source = 'csv' if flat else 'ndjson'
    done = leat_run(leat, program, text, source, 'ndjson')
    if done.returncode != 0:
        return f'{program}\n  status {done.returncode}: {done.stderr}'
    lines = [json.loads(line, object_pairs_hook=list) for line in done.stdout.splitlines()]
    right = [json.loads(json.dumps(r), object_pairs_hook=list) for r in wanted]
    for i, (line, must) in enumerate(zip(lines, right)):
        if line != must:
            return f'{program}\n  record {i}: {line}\n  should be {must}'
    if len(lines) != len(right):
        return f'{program}\n  {len(lines)} records, should be {len(right)}'
    if flat and any(wanted):
        done = leat_run(leat, program, text, source, 'csv')
        if done.returncode != 0 or rows_differ(wanted, done.stdout):
            return f'{program}\n  as CSV: status {done.returncode}: {done.stderr}{done.stdout}'
    return None


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--leat', default='build/leat')
    parser.add_argument('--seeds', type=int, default=100 if os.environ.get('LEAT_SANITIZED') else 600)
    parser.add_argument('--seed', type=int)
    arguments = parser.parse_args()
    leat = os.path.abspath(arguments.leat)
    seeds = range(arguments.seeds) if arguments.seed is None else [arguments.seed]
    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(lambda seed: (seed, seed_run(leat, seed)), seeds))
    wrong = [(seed, text) for seed, text in results if text]
    for seed, text in wrong[:10]:
        print(f'FAILED: seed {seed}: {text}')
    print(f'{len(results) - len(wrong)} passed, {len(wrong)} failed')
    sys.exit(1 if wrong else 0)


main()
