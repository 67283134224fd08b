#!/usr/bin/env python3
# The fault test of PostgreSQL: while leat loads records or looks them up, the server is stopped and
# started, its backends are terminated, and a proxy (proxy.py) cuts the connection at every stage.
# Rows, rejects and ledger must then be those of an undisturbed run, which in turn must be what the
# model says. A run that fails is run again, at most twice, and counted.
#
#     tests/faults/postgres.py --leat BUILD/leat [--all] [--case NAME] [--seed K]
#
# A fast share, or (--all) every cut in every mode and a million rows; --case: only trials whose
# names begin so.
import argparse
import hashlib
import json
import os
import random
import select
import shutil
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import proxy  # noqa: E402

PATIENCE = 120  # seconds that a run may take at most
RERUNS_MOST = 2
LEDGER = ('read', 'created', 'written', 'filtered', 'absorbed', 'rejected')


class Wrong(Exception):
    pass


# ---- the model ----

def malformed(n):
    return n % 97 == 5


def refused(n):
    """By the CHECK of the table that is appended to."""
    return n % 1009 == 7


def key_of(n):
    return n % 700


def text_of(n):
    return f'{n * 7919 % 1000003:x}' * (n % 7)


def input_write(path, count):
    with open(path, 'w') as file:
        for n in range(count):
            file.write(f'not json {n}\n' if malformed(n) else
                       f'{{"n":{n},"key":{key_of(n)},"t":"{text_of(n)}"}}\n')


def rows_expected(mode, count):
    rows = [n for n in range(count) if not malformed(n)]
    if mode == 'append':
        return [n for n in rows if not refused(n)]
    if mode == 'upsert':
        return sorted({key_of(n): n for n in rows}.values())
    return rows


def digest(numbers):
    text = ','.join(f'{n}:{key_of(n)}:{text_of(n)}' for n in numbers)
    return f'{len(numbers)} rows, {hashlib.md5(text.encode()).hexdigest()}'


DIGEST = "SELECT count(*) || ' rows, ' || md5(string_agg(n || ':' || key || ':' || t, ',' ORDER BY n)) " \
         'FROM %s;'
TABLES = {
    'append': 'CREATE TABLE append(n bigint, key bigint, t text, CHECK (n % 1009 <> 7));',
    'replace': 'CREATE TABLE replace(n bigint, key bigint, t text); INSERT INTO replace VALUES (-1, 0);',
    'upsert': 'CREATE TABLE upsert(n bigint, key bigint PRIMARY KEY, t text);',
}
REJECTS = 'reject into file "rejects.ndjson"\nfail when rejected > 1000000\n'


def program_of(mode, dsn):
    if mode == 'lookup':
        return 'from file "in.ndjson"\n' \
               f'lookup sql "{dsn}" "select meaning from meanings where key = $1" with key as m ' \
               '{ pool min 1 max 4  retry 10  backoff 5ms..50ms  order input }\n' \
               'select n, key, t, m = m.meaning\ninto file "out.ndjson"\n' + REJECTS
    if mode == 'source':
        return f'from postgres "{dsn}" {{ table numbers  key n }}\ninto file "out.ndjson"\n' + REJECTS
    options = '  key key' if mode == 'upsert' else ''
    return f'from file "in.ndjson"\ninto postgres "{dsn}" {{ table {mode}  mode {mode}{options} }}\n' \
        + REJECTS


# ---- the server ----

class Server:
    """tests/servers/postgres, and one psql that talks to it while runs last."""

    def __init__(self, build):
        self.process = subprocess.Popen([f'{build}/servers/postgres'], stdin=subprocess.PIPE, text=True,
                                        stdout=subprocess.PIPE)
        self.folder = self.process.stdout.readline().strip()
        self.dsn = f'host={self.folder} user=leat dbname=leat'
        self.talker = None

    def do(self, command):
        self.process.stdin.write(command + '\n')
        self.process.stdin.flush()
        if self.process.stdout.readline() != 'ok\n':
            raise Wrong(f'the server did not {command}')

    def psql(self, text):
        done = subprocess.run(['psql', '-qXAt', '-v', 'ON_ERROR_STOP=1', self.dsn], input=text,
                              text=True, capture_output=True, timeout=PATIENCE, check=False)
        if done.returncode != 0:
            raise Wrong(f'psql: {done.stderr}')
        return done.stdout.strip()

    def terminate(self):
        """How many backends of leat there were."""
        if not self.talker:
            self.talker = subprocess.Popen(['psql', '-qXAt', self.dsn], stdin=subprocess.PIPE,
                                           stdout=subprocess.PIPE, text=True)
        self.talker.stdin.write("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE "
                                "backend_type = 'client backend' AND pid <> pg_backend_pid();\n")
        self.talker.stdin.flush()
        return int(self.talker.stdout.readline())

    def hang_up(self):
        if self.talker:
            self.talker.communicate(timeout=PATIENCE)
            self.talker = None

    def close(self):
        self.hang_up()
        self.process.stdin.close()
        self.process.wait(PATIENCE)
        self.process.stdout.close()


# ---- one run ----

def wait(process, seconds):
    """Whether it ends within that time."""
    fd = os.pidfd_open(process.pid)
    try:
        return bool(select.select([fd], [], [], seconds)[0])
    finally:
        os.close(fd)


class Trial:
    """A pipeline in a folder of its own."""

    def __init__(self, faults, mode, count):
        self.faults, self.mode, self.count = faults, mode, count
        self.server = faults.server
        self.folder = tempfile.mkdtemp(dir=faults.folder)
        self.environment = dict(os.environ)
        path = faults.input(count)
        os.symlink(path, f'{self.folder}/in.ndjson')
        self.reruns = 0

    def begin(self, dsn):
        with open(f'{self.folder}/p.conf', 'w') as file:
            file.write(f'pipeline faults_{self.mode}\n' + program_of(self.mode, dsn))
        if self.mode in TABLES:
            self.server.psql('SET client_min_messages = error; DROP TABLE IF EXISTS leat_commit; '
                             f'DROP TABLE IF EXISTS {self.mode}; DROP TABLE IF EXISTS '
                             f'{self.mode}__leat;' + TABLES[self.mode])

    def start(self, rng):
        small = self.count < 50000
        self.environment['LEAT_CHECKPOINT'] = str(rng.choice((1, 2)))
        self.environment['LEAT_BATCH_TEXT'] = str(rng.choice((1500, 3000) if small else
                                                             (100000, 400000)))
        flags = ['-j', str(rng.randint(1, 3)), '--io', rng.choice(('uring', 'posix'))]
        with open(f'{self.folder}/stderr.txt', 'ab') as log:
            return subprocess.Popen(
                [self.faults.leat, 'run', 'p.conf', '--report', 'report.json', *flags],
                cwd=self.folder, env=self.environment, stdin=subprocess.DEVNULL, stdout=log,
                stderr=log)

    def finish(self, process, rng):
        """Until it is done, with reruns where one fails."""
        while True:
            if not wait(process, PATIENCE):
                process.kill()
                process.wait()
                raise Wrong(f'not done after {PATIENCE} s')
            status = process.wait()
            if status == 0:
                return
            if status != 1 or self.reruns == RERUNS_MOST:
                raise Wrong(f'status {status}, {self.reruns} reruns')
            self.reruns += 1
            process = self.start(rng)

    def said(self):
        with open(f'{self.folder}/stderr.txt', errors='replace') as file:
            return file.read()

    def result(self):
        with open(f'{self.folder}/report.json') as file:
            report = json.load(file)
        ledger = [{name: report[name] for name in LEDGER},
                  [[stage['name'].split()[0], stage['read'], stage['written'], stage['rejected']]
                   for stage in report['stages']],  # behind the first word: which server
                  sorted([c['stage'], c['error'], c['count']] for c in report.get('causes', []))]
        rejects = []
        with open(f'{self.folder}/rejects.ndjson') as file:
            for text in file:
                reject = json.loads(text)
                del reject['time']
                rejects.append(reject)
        if self.mode in TABLES:
            rows = self.server.psql(DIGEST % self.mode)
        else:
            with open(f'{self.folder}/out.ndjson', 'rb') as file:
                rows = hashlib.md5(file.read()).hexdigest()
        return {'rows': rows, 'rejects': rejects, 'ledger': ledger}

    def model_check(self, found):
        bad = [n for n in range(self.count) if malformed(n)]
        if self.mode == 'source':
            bad = []
        elif self.mode == 'append':
            bad += [n for n in range(self.count) if refused(n) and not malformed(n)]
        if len(found['rejects']) != len(bad) or found['ledger'][0]['rejected'] != len(bad):
            raise Wrong(f'{len(found["rejects"])} rejects, {len(bad)} by the model')
        if self.mode in TABLES:
            wanted = digest(rows_expected(self.mode, self.count))
            if found['rows'] != wanted:
                raise Wrong(f'{found["rows"]}, by the model {wanted}')
            return
        with open(f'{self.folder}/out.ndjson') as file:
            rows = [json.loads(text) for text in file]
        numbers = [n for n in range(self.count) if self.mode == 'source' or not malformed(n)]
        for n, row in zip(numbers, rows, strict=True):
            if row['n'] != n or (self.mode == 'lookup' and row['m'] != f'meaning {key_of(n)}'):
                raise Wrong(f'{row} where {n} is wanted')

    def compare(self, expected):
        found = self.result()
        if found['ledger'][0]['read'] == 0 and self.reruns and self.mode == 'append':
            del found['ledger']  # the run before had done it all: the rerun had nothing to add
        for name, what in found.items():
            if what != expected[name]:
                raise Wrong(f'{name}: {str(what)[:400]}\nnot {str(expected[name])[:400]}')

    def close(self):
        shutil.rmtree(self.folder)


# ---- trials ----

HOWS = ('unsent', 'half', 'sent', 'lost')
EVENTS = ('connect', 'lock', 'claim', 'look', 'begin', 'data', 'end', 'record', 'commit', 'final')
MODE_EVENTS = {'append': EVENTS + ('back',), 'replace': EVENTS + ('swap',),
               'upsert': EVENTS + ('merge',)}
# more than one: within what follows a cut, and again and again
CHAINS = (
    [('commit', 2, 'lost'), ('check', 1, 'unsent')],
    [('commit', 2, 'lost'), ('check', 1, 'lost'), ('lock', 1, 'lost')],
    [('commit', 2, 'unsent'), ('check', 1, 'lost'), ('begin', 1, 'lost')],
    [('commit', 2, 'sent'), ('connect', 1, 'unsent'), ('connect', 1, 'unsent'), ('check', 1, 'half')],
    [('record', 2, 'half'), ('claim', 1, 'lost'), ('claim', 1, 'unsent')],
    [('commit', 1, 'lost'), ('commit', 1, 'lost'), ('commit', 1, 'lost'), ('commit', 1, 'unsent')],
    [('end', 3, 'lost'), ('record', 1, 'lost'), ('end', 1, 'lost'), ('commit', 1, 'unsent')],
    [('record', 4, 'unsent'), ('claim', 1, 'sent'), ('record', 1, 'lost'), ('claim', 1, 'half')],
    [('final', 1, 'lost'), ('final', 1, 'lost'), ('final', 1, 'unsent')],
)


def cuts_all():
    for mode, events in MODE_EVENTS.items():
        for event in events:
            once = event in ('connect', 'lock', 'claim', 'look', 'final', 'swap')
            for occurrence in (1,) if once else (1, 3):
                for how in HOWS:
                    yield mode, [(event, occurrence, how)]
        for chain in CHAINS:
            yield mode, chain


def cuts_few():
    """Every event and every chain in one of the modes, in one of the ways."""
    whole = list(cuts_all())
    modes, found = tuple(MODE_EVENTS), []
    events = sorted({cuts[0][0] for _, cuts in whole if len(cuts) == 1})
    for i, event in enumerate(events):
        for how in (HOWS if event == 'commit' else (HOWS[i % 4],)):
            fitting = [t for t in whole if len(t[1]) == 1 and t[1][0][0] == event and t[1][0][2] == how]
            found.append(fitting[-1 - i % len(fitting)])
    return found + [(modes[i % 3], chain) for i, chain in enumerate(CHAINS)]


class Faults:
    def __init__(self, arguments):
        self.leat = os.path.abspath(arguments.leat)
        self.arguments = arguments
        self.server = Server(os.path.dirname(self.leat))
        self.folder = tempfile.mkdtemp(prefix='leat-faults-')
        self.expected = {}
        self.seconds = {}
        self.passed = self.failed = self.reruns = 0

    def input(self, count):
        path = f'{self.folder}/in-{count}.ndjson'
        if not os.path.exists(path):
            input_write(path, count)
        return path

    def undisturbed(self, mode, count):
        if (mode, count) in self.expected:
            return self.expected[mode, count]
        trial = Trial(self, mode, count)
        trial.begin(self.server.dsn)
        begun = time.monotonic()
        trial.finish(trial.start(random.Random(0)), random.Random(0))
        self.seconds[mode, count] = time.monotonic() - begun
        found = trial.result()
        if trial.reruns:
            raise Wrong(f'the undisturbed run fails: {trial.said()}')
        trial.model_check(found)
        self.expected[mode, count] = found
        trial.close()
        return found

    def trial(self, name, mode, count, disturb, dsn=None):
        """disturb(trial, rng) starts the run and gives (process, what it has to say)."""
        if not name.startswith(self.arguments.case):
            return
        rng = random.Random(f'{self.arguments.seed} {name}')
        trial = None
        try:
            expected = self.undisturbed(mode, count)
            trial = Trial(self, mode, count)
            trial.begin(dsn or self.server.dsn)
            process, note = disturb(trial, rng)
            trial.finish(process, rng)
            trial.compare(expected)
            text = note()
            self.passed += 1
            self.reruns += trial.reruns
            if trial.reruns:
                print(*[line for line in trial.said().splitlines() if ": error" in line], sep="\n")
            if text or trial.reruns:
                print(f'{name}: {text}{trial.reruns} reruns', flush=True)
            trial.close()
        except (Wrong, OSError, ValueError) as wrong:
            self.failed += 1
            print(f'FAILED: {name}: {wrong}\n{trial.said()[-2000:] if trial else ""}\nreplay: python3 '
                  f'tests/faults/postgres.py --leat {os.path.relpath(self.leat)} --all --seed '
                  f'{self.arguments.seed} --case {name!r}', flush=True)

    # ---- a proxy that cuts ----

    def cut(self, mode, cuts):
        name = f'cut {mode} ' + ', '.join(f'{event} {n} {how}' for event, n, how in cuts)

        def disturb(trial, rng):
            self.proxy.plan(cuts)
            return trial.start(rng), lambda: self.cuts_note(len(cuts))
        self.trial(name, mode, 3000, disturb, f'host={self.proxy.folder} user=leat dbname=leat')

    def cuts_note(self, planned):
        if self.proxy.done < planned:
            raise Wrong(f'only {self.proxy.done} of {planned} cuts came true')
        return ''

    def cuts(self):
        folder = tempfile.mkdtemp(dir=self.folder)
        self.proxy = proxy.Proxy(folder, self.server.folder)
        try:
            for mode, cuts in cuts_all() if self.arguments.all else cuts_few():
                self.cut(mode, cuts)
        finally:
            self.proxy.close()

    # ---- backends that are terminated ----

    def terminations(self, mode, count, times):
        def disturb(trial, rng):
            process, done = trial.start(rng), 0
            # not so often that it cannot even connect between two
            pause = max(0.06 if mode in TABLES else 0, 1.2 * self.seconds[mode, count] / times)
            while done < times and not wait(process, rng.random() * pause):
                done += self.server.terminate() > 0
            return process, lambda: f'terminated {done} times, '
        self.trial(f'terminate {mode} {count}', mode, count, disturb)

    # ---- a server that is stopped and started ----

    def stops(self, mode, how, count, times):
        def disturb(trial, rng):
            process, done = trial.start(rng), 0
            pause = 1.2 * self.seconds[mode, count] / times
            self.server.hang_up()
            while done < times and not wait(process, rng.random() * pause):
                self.server.do(how)
                wait(process, rng.random() * 0.4)
                self.server.do('start')
                done += 1
            return process, lambda: f'stopped {done} times, '
        self.trial(f'stop {mode} {how} {count}', mode, count, disturb)

    def run(self):
        whole = self.arguments.all
        self.server.psql("CREATE TABLE meanings AS SELECT i AS key, 'meaning ' || i AS meaning "
                         'FROM generate_series(0, 699) i; CREATE TABLE numbers AS SELECT i AS n '
                         f'FROM generate_series(0, {999999 if whole else 99999}) i; '
                         'ALTER TABLE numbers ADD PRIMARY KEY (n);')
        self.cuts()
        for mode in TABLES if whole else ('append',):
            self.terminations(mode, 1000000 if whole else 100000, 100 if whole else 10)
        self.terminations('source', 1000000 if whole else 100000, 100 if whole else 10)
        self.terminations('lookup', 100000 if whole else 20000, 50 if whole else 5)
        for mode in TABLES if whole else ('replace',):
            for how in ('fast', 'immediate'):
                self.stops(mode, how, 1000000 if whole else 100000, 5 if whole else 1)
        for mode in ('source', 'lookup') if whole else ():
            for how in ('fast', 'immediate'):
                self.stops(mode, how, 1000000 if mode == 'source' else 100000, 3)

    def close(self):
        self.server.close()
        shutil.rmtree(self.folder)


def main():
    parser = argparse.ArgumentParser(description='PostgreSQL that fails in every way')
    parser.add_argument('--leat', required=True)
    parser.add_argument('--all', action='store_true')
    parser.add_argument('--case', default='')
    parser.add_argument('--seed', type=int, default=1)
    faults = Faults(parser.parse_args())
    if not faults.server.folder:
        print('(skipped: PostgreSQL is not installed)\n0 passed, 0 failed')
        return
    try:
        faults.run()
    finally:
        faults.close()
    print(f'{faults.reruns} reruns by hand\n{faults.passed} passed, {faults.failed} failed')
    sys.exit(1 if faults.failed else 0)


main()
