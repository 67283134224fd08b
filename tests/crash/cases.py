# The cases of the kill test; imported by run.py.
"""The cases of the kill test: what each reads, what its pipeline says, and what must come of it by a
model in plain Python that shares nothing with leat. Records are numbered by n. Used by run.py."""
import csv
import gzip
import hashlib
import io
import json
import os
import random
import subprocess

RECORDS = 3000


class Case:
    def __init__(self, name, program, targets, **options):
        self.name, self.program, self.targets = name, program, targets
        self.flags = options.get('flags', [])
        self.any_order = options.get('any_order', False)
        self.rejects = options.get('rejects', True)
        self.appends = options.get('appends', False)  # a run behind a finished one adds nothing
        self.postgres = '{dsn}' in program or options.get('postgres', False)
        self.http = '{port}' in program
        self.before = options.get('before')           # (kind, name, statements) made first
        self.resumes = options.get('resumes', True)


class Target:
    """rows: what the model says, a list of lists of texts; key: columns of a database's table."""

    def __init__(self, kind, name, rows, columns=None):
        self.kind, self.name, self.rows, self.columns = kind, name, rows, columns


# ---- inputs ----

def mixed(n):
    """A number without a pattern, the same in every run."""
    return int.from_bytes(hashlib.blake2b(b'%d' % n, digest_size=4).digest(), 'big')


def record(n):
    return {'n': n, 'k': f'k{n % 5}', 'm': mixed(n) % 7, 't': 'x' * (mixed(n) % 60)}


def malformed(n):
    return n % 97 == 5


def line(n):
    return f'not json {n}' if malformed(n) else json.dumps(record(n), separators=(',', ':'))


def inputs_write(folder):
    lines = [line(n) + '\n' for n in range(RECORDS)]
    half = RECORDS // 2 + 77
    good = [record(n) for n in range(RECORDS)]
    with open(f'{folder}/in.ndjson', 'w') as file:
        file.writelines(lines)
    for name, part in (('a', lines[:half]), ('b', lines[half:])):
        with open(f'{folder}/two-{name}.ndjson', 'w') as file:
            file.writelines(part)
    with open(f'{folder}/in.ndjson.gz', 'wb') as file:
        file.write(gzip.compress(''.join(lines).encode(), mtime=0))
    text = io.StringIO()
    writer = csv.DictWriter(text, ['n', 'k', 'm', 't'], lineterminator='\n')
    writer.writeheader()
    writer.writerows(good)
    for name, bytes_of in (('in.csv.zst', text.getvalue()), ('in.ndjson.zst', ''.join(lines))):
        # in two frames, as concatenation makes them
        middle = bytes_of.index('\n', len(bytes_of) // 2) + 1
        packed = [subprocess.run(['zstd', '-q', '-c'], input=part.encode(), check=True,
                                 stdout=subprocess.PIPE).stdout
                  for part in (bytes_of[:middle], bytes_of[middle:])]
        with open(f'{folder}/{name}', 'wb') as file:
            file.write(b''.join(packed))
    rows = ','.join(f"({r['n']},'{r['k']}',{r['m']},'{r['t']}')" for r in good)
    statements = f'CREATE TABLE source(n INTEGER PRIMARY KEY, k TEXT, m INTEGER, t TEXT);' \
                 f'INSERT INTO source VALUES {rows};'
    subprocess.run(['sqlite3', f'{folder}/in.db'], input=statements.encode(), check=True)
    return f'CREATE TABLE source(n bigint PRIMARY KEY, k text, m bigint, t text);' \
           f'INSERT INTO source VALUES {rows};'


# ---- the model ----

def well_formed():
    return [record(n) for n in range(RECORDS) if not malformed(n)]


def everything():
    return [record(n) for n in range(RECORDS)]


def kept(records):
    """where m > 1 | put a = 1000 / (n % 50): divided by zero, a record is rejected."""
    return [dict(r, a=1000 // (r['n'] % 50)) for r in records if r['m'] > 1 and r['n'] % 50]


def rejected_numbers(divided=True):
    """Which records `kept` and the parser reject."""
    return sorted(n for n in range(RECORDS) if malformed(n) or
                  (divided and record(n)['m'] > 1 and n % 50 == 0))


def texts(records, names):
    return [[str(r[name]) for name in names] for r in records]


ALL = ['n', 'k', 'm', 't', 'a']
STEPS = 'where m > 1\nput a = 1000 / (n % 50)\n'
TAIL = 'reject into file "rejects.ndjson"\nfail when rejected > 1000000\n'


def upserted():
    """By key k2 = n % 700 the last record wins."""
    last = {}
    for r in kept(well_formed()):
        last[r['n'] % 700] = r
    return [[str(key), str(r['n']), r['k']] for key, r in sorted(last.items())]


def counted():
    counts = {}
    for r in kept(well_formed()):
        counts[(r['k'], r['m'])] = counts.get((r['k'], r['m']), 0) + 1
    return [[k, str(m), str(count)] for (k, m), count in counts.items()]


def headed():
    counts = {}
    for r in kept(well_formed())[:1200]:
        counts[r['k']] = counts.get(r['k'], 0) + 1
    return [[k, str(count)] for k, count in counts.items()]


def partitions(kind, suffix):
    rows = kept(well_formed())
    return [Target(kind, f'part-k{i}{suffix}', texts([r for r in rows if r['k'] == f'k{i}'], ALL), ALL)
            for i in range(5)]


def refused(r):
    """What the CHECK of the table `narrow` does not take."""
    return r['n'] % 31 == 7


def cases_all():
    rows = texts(kept(well_formed()), ALL)
    clean = texts(kept(everything()), ALL)
    source = 'from file "in.ndjson"\n'
    sqlite_table = 'CREATE TABLE t(n INTEGER, k TEXT, m INTEGER, t TEXT, a INTEGER, CHECK (n % 31 <> 7));'
    narrow = texts([r for r in kept(well_formed()) if not refused(r)], ALL)
    skipped = texts(kept(well_formed())[101:][:1500], ALL)
    hashed = [row + [str(int(row[0]) * 3)] for row in rows]
    http = [row + [f'r{row[0]}'] for row in rows]

    def lines(name='out.ndjson', expected=None, columns=None):
        return Target('lines', name, expected if expected is not None else rows, columns or ALL)

    def made(name, into, targets, steps=STEPS, start=source, tail=TAIL, **options):
        return Case(name, start + steps + into + '\n' + tail, targets, **options)

    sqlite = 'into sqlite "out.db" {{ table t  mode %s }}'
    postgres = 'into postgres "{dsn}" {{ table t{id}  mode %s }}'
    upsert = 'where m > 1\nput a = 1000 / (n % 50)\nput key = n % 700\nselect key, n, k\n'
    upsert_rows = upserted()
    return [
        made('file', 'into file "out.ndjson"', [lines()]),
        made('file-zstd', 'into file "out.ndjson.zst"', [lines('out.ndjson.zst')]),
        made('file-gzip', 'into file "out.ndjson.gz"', [lines('out.ndjson.gz')]),
        made('file-csv', 'into file "out.csv"', [Target('csv', 'out.csv', rows, ALL)]),
        made('file-append', 'into file "out.ndjson" {{ mode append }}', [lines()], appends=True),
        made('file-append-zstd', 'into file "out.csv.zst" {{ mode append }}',
             [Target('csv', 'out.csv.zst', rows, ALL)], appends=True),
        made('partitioned', 'into file "part-{{k}}.csv"', partitions('csv', '.csv')),
        made('partitioned-zstd', 'into file "part-{{k}}.ndjson.zst"',
             partitions('lines', '.ndjson.zst')),
        made('several', 'into file "out.ndjson"\ninto file "out.csv.zst"\ninto file "out.ndjson.gz"',
             [lines(), Target('csv', 'out.csv.zst', rows, ALL), lines('out.ndjson.gz')]),
        made('file-and-sqlite', 'into file "out.ndjson.zst"\n' + sqlite % 'replace',
             [lines('out.ndjson.zst'), Target('sqlite', 't', rows, ALL)]),
        made('count-sqlite', sqlite % 'replace', [Target('sqlite', 't', counted(), ['k', 'm', 'count'])],
             steps=STEPS + 'count by k, m\n'),
        made('file-append-several', 'into file "out.ndjson" {{ mode append }}\n' + sqlite % 'append',
             [lines(), Target('sqlite', 't', rows, ALL)], appends=True),
        made('count', 'into file "out.ndjson"', [lines(expected=counted(), columns=['k', 'm', 'count'])],
             steps=STEPS + 'count by k, m\n'),
        made('head-count', 'into file "out.ndjson"', [lines(expected=headed(), columns=['k', 'count'])],
             steps=STEPS + 'head 1200\ncount by k\n', rejects=False),
        made('head-skip', 'into file "out.ndjson"', [lines(expected=skipped)],
             steps=STEPS + 'skip 101\nhead 1500\n', rejects=False),
        made('order-none', 'into file "out.ndjson.zst"', [lines('out.ndjson.zst')],
             flags=['--order', 'none'], any_order=True),
        made('order-none-sqlite', sqlite % 'append', [Target('sqlite', 't', rows, ALL)],
             flags=['--order', 'none'], any_order=True, appends=True),
        made('sqlite-append', sqlite % 'append', [Target('sqlite', 't', rows, ALL)], appends=True),
        made('sqlite-refuses', sqlite % 'append', [Target('sqlite', 't', narrow, ALL)], appends=True,
             before=('sqlite', sqlite_table)),
        made('sqlite-replace', sqlite % 'replace', [Target('sqlite', 't', rows, ALL)]),
        made('sqlite-upsert', sqlite % 'upsert  key key',
             [Target('sqlite', 't', upsert_rows, ['key', 'n', 'k'])], steps=upsert),
        made('postgres-append', postgres % 'append', [Target('postgres', 't{id}', rows, ALL)],
             appends=True),
        made('postgres-replace', postgres % 'replace', [Target('postgres', 't{id}', rows, ALL)]),
        made('postgres-upsert', postgres % 'upsert  key key',
             [Target('postgres', 't{id}', upsert_rows, ['key', 'n', 'k'])], steps=upsert),
        made('postgres-refuses', postgres % 'append', [Target('postgres', 't{id}', narrow, ALL)],
             appends=True, before=('postgres', 'CREATE TABLE t{id}(n bigint, k text, m bigint, t text, '
                                               'a bigint, CHECK (n % 31 <> 7));')),
        made('order-none-postgres', postgres % 'append', [Target('postgres', 't{id}', rows, ALL)],
             flags=['--order', 'none'], any_order=True, appends=True),
        made('sqlite-file', 'into file "out.ndjson"', [lines(expected=clean)],
             start='from sqlite "in.db" {{ table source  key n }}\n'),
        made('sqlite-sqlite', sqlite % 'replace', [Target('sqlite', 't', clean, ALL)],
             start='from sqlite "in.db" {{ table source  key n }}\n'),
        made('sqlite-postgres', postgres % 'append', [Target('postgres', 't{id}', clean, ALL)],
             start='from sqlite "in.db" {{ table source  key n }}\n', appends=True),
        made('postgres-file', 'into file "out.ndjson.zst"', [lines('out.ndjson.zst', clean)],
             start='from postgres "{dsn}" {{ table source  key n }}\n'),
        made('postgres-postgres', postgres % 'append', [Target('postgres', 't{id}', clean, ALL)],
             start='from postgres "{dsn}" {{ table source  key n }}\n', appends=True),
        made('csv-zstd', 'into file "out.csv"', [Target('csv', 'out.csv', clean, ALL)],
             start='from file "in.csv.zst"\n'),
        made('gzip-sqlite', sqlite % 'append', [Target('sqlite', 't', rows, ALL)], appends=True,
             start='from file "in.ndjson.gz"\n'),
        made('glob', 'into file "out.ndjson.gz"', [lines('out.ndjson.gz')],
             start='from file "two-*.ndjson"\n'),
        made('two-sources', sqlite % 'replace', [Target('sqlite', 't', rows, ALL)],
             start='from file "two-a.ndjson"\nfrom file "two-b.ndjson"\n'),
        made('lookup-exec', 'into file "out.ndjson"', [lines(expected=hashed, columns=ALL + ['e'])],
             steps=STEPS + 'lookup exec "{python} {here}/answer.py" as e {{ body n }}\n'),
        made('lookup-http', 'into file "out.ndjson.zst"',
             [lines('out.ndjson.zst', http, ALL + ['e'])],
             steps=STEPS + 'lookup http "http://127.0.0.1:{port}/echo/r{{n}}" as h\n'
                           'put e = h.key\ndrop h\n'),
        made('lookup-http-sqlite', sqlite % 'append', [Target('sqlite', 't', http, ALL + ['e'])],
             appends=True, flags=['--order', 'none'], any_order=True,
             steps=STEPS + 'lookup http "http://127.0.0.1:{port}/echo/r{{n}}" as h {{ order none }}\n'
                           'put e = h.key\ndrop h\n'),
    ]
