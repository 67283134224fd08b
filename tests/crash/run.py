#!/usr/bin/env python3
# The kill test: runs are killed with SIGKILL at random instants, also while they recover, and run
# again until done; targets, rejects and ledger must then be those of an undisturbed run, which in
# turn must be what the model in cases.py says.
#
#     tests/crash/run.py --leat BUILD/leat [--kills N] [--seed K] [--case NAME]
#
# N kills over all cases (80), or just the trial of seed K, or just the cases whose names begin so.
import argparse
import csv
import json
import os
import random
import select
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import cases  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
LEDGER = ('read', 'created', 'written', 'filtered', 'absorbed', 'rejected')
PATIENCE = 60  # seconds that a run may take at most
KILLS_MOST = 3  # in one trial


class Wrong(Exception):
    pass


# ---- servers ----

class Servers:
    """Started when the first case needs them; they end when our end of their stdin closes."""

    def __init__(self, build):
        self.build, self.lock, self.processes = build, threading.Lock(), []
        self.dsn = self.port = None
        self.missing = set()

    def start(self, name, arguments):
        path = os.path.join(self.build, 'servers', name)
        if not os.path.exists(path):
            return None
        process = subprocess.Popen([path, *arguments], stdin=subprocess.PIPE, text=True,
                                   stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self.processes.append(process)
        return process.stdout.readline().strip() or None

    def ready(self, case):
        """Whether what the case needs is there."""
        with self.lock:
            if case.postgres and not self.dsn and 'postgres' not in self.missing:
                folder = self.start('postgres', ['-c', 'max_connections=50'])
                if folder:
                    self.dsn = f'host={folder} user=leat dbname=leat'
                else:
                    self.missing.add('postgres')
            if case.http and not self.port and 'http_server' not in self.missing:
                self.port = self.start('http_server', ['--port', '0'])
                if not self.port:
                    self.missing.add('http_server')
        return not (case.postgres and not self.dsn) and not (case.http and not self.port)

    def psql(self, text, *arguments):
        done = subprocess.run(['psql', '-q', '-X', '-v', 'ON_ERROR_STOP=1', *arguments, self.dsn],
                              input=text, text=True, capture_output=True)
        if done.returncode != 0:
            raise Wrong(f'psql: {done.stderr}')
        return done.stdout

    def stop(self):
        for process in self.processes:
            process.stdin.close()
            if 'http_server' in process.args[0]:
                process.terminate()
            process.wait(PATIENCE)
            process.stdout.close()


# ---- what came of a run ----

def unpacked(path):
    if path.endswith('.zst'):
        return subprocess.run(['zstd', '-q', '-d', '-c', path], check=True,
                              stdout=subprocess.PIPE).stdout
    if path.endswith('.gz'):
        return subprocess.run(['gzip', '-d', '-c', path], check=True, stdout=subprocess.PIPE).stdout
    with open(path, 'rb') as file:
        return file.read()


def rows_csv(text, columns):
    rows = list(csv.reader(text.splitlines()))
    if not rows or rows[0] != columns:
        raise Wrong(f'columns {rows[:1]}, not {columns}')
    return rows[1:]


def rows_lines(text, columns):
    rows = [json.loads(line) for line in text.splitlines()]
    for row in rows:
        if list(row) != columns:
            raise Wrong(f'fields {list(row)}, not {columns}')
    return [[str(row[name]) for name in columns] for row in rows]


class Trial:
    def __init__(self, case, folder, inputs, servers, identity):
        self.case, self.folder, self.servers, self.id = case, folder, servers, identity
        for name in os.listdir(inputs):
            os.symlink(os.path.join(inputs, name), os.path.join(folder, name))
        words = {'dsn': (servers.dsn or '') + (f' options=-csearch_path=s{identity},public'
                                               if case.postgres else ''),
                 'port': servers.port, 'id': '', 'here': HERE, 'python': sys.executable}
        with open(f'{folder}/p.conf', 'w') as file:
            file.write(f'pipeline crash{identity}\n' + case.program.format(**words))
        if case.postgres:
            self.servers.psql(f'CREATE SCHEMA s{identity}')
        if case.before and case.before[0] == 'sqlite':
            subprocess.run(['sqlite3', f'{folder}/out.db', case.before[1]], check=True)
        elif case.before:
            self.query(case.before[1].format(id=''))

    def query(self, text, *arguments):
        return self.servers.psql(f'SET search_path = s{self.id};' + text, *arguments)

    def clean(self):
        if self.case.postgres:
            self.servers.psql(f'DROP SCHEMA s{self.id} CASCADE')
        shutil.rmtree(self.folder)

    def command(self, leat, flags=()):
        return [leat, 'run', 'p.conf', '--report', 'report.json', *self.case.flags, *flags]

    def rows(self, target):
        name = target.name.format(id='')
        order = ','.join(target.columns)
        if target.kind == 'sqlite':
            asked = ['sqlite3', '-csv', '-header', 'out.db', f'SELECT {order} FROM {name} ORDER BY 2, 1']
            done = subprocess.run(asked, cwd=self.folder, text=True, capture_output=True)
            if done.returncode != 0:
                raise Wrong(f'sqlite3: {done.stderr}')
            return rows_csv(done.stdout, target.columns)
        if target.kind == 'postgres':
            text = self.query(f'SELECT {order} FROM {name} ORDER BY 2, 1;', '--csv')
            return rows_csv(text, target.columns)
        path = f'{self.folder}/{name}'
        if not os.path.exists(path):
            raise Wrong(f'no {name}')
        text = unpacked(path).decode()
        return (rows_csv if target.kind == 'csv' else rows_lines)(text, target.columns)

    def content(self, target):
        """To be compared with another run's: bytes where the order is fixed, else sorted rows."""
        if target.kind in ('sqlite', 'postgres') or self.case.any_order:
            return sorted(self.rows(target))
        with open(f'{self.folder}/{target.name}', 'rb') as file:
            return file.read()

    def rejects(self):
        path = f'{self.folder}/rejects.ndjson'
        if not os.path.exists(path):
            raise Wrong('no rejects.ndjson')
        found = []
        with open(path) as file:
            for text in file:
                reject = json.loads(text)
                del reject['time']
                found.append(json.dumps(reject))
        return sorted(found) if self.case.any_order else found

    def ledger(self):
        with open(f'{self.folder}/report.json') as file:
            report = json.load(file)
        top = {name: report[name] for name in LEDGER}
        stages = [{name: stage.get(name) for name in ('name', 'read', 'written', 'filtered', 'rejected')}
                  for stage in report['stages']]
        causes = sorted((c['stage'], c['error'], c['count']) for c in report.get('causes', []))
        return {'totals': top, 'stages': stages, 'causes': causes}

    def result(self):
        found = {'target ' + t.name: self.content(t) for t in self.case.targets}
        found['rejects'] = self.rejects()
        found['ledger'] = self.ledger()
        return found

    def leftovers(self):
        return [name for name in os.listdir(self.folder)
                if name.endswith(('-part', '-new', '-lock')) or '.leat-part' in name]


def tokens(rejects):
    """Which records were rejected, as numbers."""
    found = []
    for text in rejects:
        content = json.loads(text)['record']
        if content.startswith('not json '):
            found.append(int(content.split()[2]))
        else:
            found.append(json.loads(content)['n'] if content.startswith('{') else None)
    return found


def model_check(trial):
    """The undisturbed run against the model."""
    case = trial.case
    for target in case.targets:
        found = trial.rows(target)
        free = case.any_order or target.kind in ('sqlite', 'postgres') or 'count' in case.name
        if (sorted(found) if free else found) != (sorted(target.rows) if free else target.rows):
            raise Wrong(f'{target.name} is not what the model says: {len(found)} rows, not '
                        f'{len(target.rows)}; {found[:2]}')
    rejects = trial.rejects()
    ledger = trial.ledger()['totals']
    if ledger['rejected'] != len(rejects):
        raise Wrong(f'{len(rejects)} rejects, {ledger["rejected"]} in the ledger')
    if ledger['read'] + ledger['created'] != sum(ledger[n] for n in LEDGER[2:]):
        raise Wrong(f'the ledger does not balance: {ledger}')
    written = sum(len(t.rows) for t in case.targets if t.name.startswith('part-')) or \
        (len(cases.kept(cases.well_formed())) if 'upsert' in case.name else len(case.targets[0].rows))
    if ledger['written'] != written:
        raise Wrong(f'{ledger["written"]} written in the ledger, {written} by the model')
    text_input = 'from file "in.ndjson"' in case.program or 'two-' in case.program
    if text_input and 'head' not in case.name:
        numbers = cases.rejected_numbers()
        if 'refuses' in case.name:
            numbers += [r['n'] for r in cases.kept(cases.well_formed()) if cases.refused(r)]
        found = sorted(n for n in tokens(rejects) if n is not None)
        whole = sum(n is None for n in tokens(rejects)) == 0
        if whole and found != sorted(numbers):
            raise Wrong('the rejects are not those of the model')
        if len(rejects) != len(numbers):
            raise Wrong(f'{len(rejects)} rejects, {len(numbers)} by the model')


# ---- killing ----

def wait(process, seconds):
    """Whether it ends within that time."""
    fd = os.pidfd_open(process.pid)
    try:
        return bool(select.select([fd], [], [], seconds)[0])
    finally:
        os.close(fd)


def signs(folder):
    """What changes on the disk as a run commits."""
    found = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if '.leat' in entry.name or entry.name.endswith('-wal'):
                try:
                    status = os.stat(entry.path)
                    found.append((entry.name, status.st_ino, status.st_mtime_ns, status.st_size))
                except FileNotFoundError:
                    pass
    return found


def wait_for_signs(process, folder, changes):
    seen = signs(folder)
    end = time.monotonic() + PATIENCE
    while changes > 0 and time.monotonic() < end:
        if wait(process, 0.0001):
            return
        now = signs(folder)
        changes -= now != seen
        seen = now


def start(trial, leat, rng):
    environment = {**os.environ, 'LEAT_CHECKPOINT': str(rng.choice((1, 1, 2, 3, 7))),
                   'LEAT_BATCH_TEXT': str(rng.choice((1500, 4000, 9000, 30000)))}
    if rng.random() < 0.5:
        environment['LEAT_READ_SIZE'] = str(rng.choice((700, 3000, 20000)))
    flags = ['-j', str(rng.randint(1, 4)), '--io', rng.choice(('uring', 'posix'))]
    log = open(f'{trial.folder}/stderr.txt', 'ab')
    return subprocess.Popen(trial.command(leat, flags), cwd=trial.folder, env=environment,
                            stdin=subprocess.DEVNULL, stdout=log, stderr=log), log


def run_once(trial, leat, rng, kill, seconds):
    """(status, whether it was killed)"""
    process, log = start(trial, leat, rng)
    try:
        if kill == 'signs':
            wait_for_signs(process, trial.folder, rng.randint(1, 12))
            wait(process, rng.random() * 0.002)
        elif kill == 'time':
            wait(process, rng.random() * seconds * 1.1)
        elif kill == 'early':
            wait(process, rng.random() * 0.02)
        elif not wait(process, PATIENCE):
            process.kill()
            process.wait()
            raise Wrong(f'not done after {PATIENCE} s')
        if kill:
            process.kill()
        status = process.wait()
    finally:
        log.close()
    return status


def untouched(trial, expected):
    """While a run has not ended, a file that it replaces is not there, or whole."""
    for target in trial.case.targets:
        path = f'{trial.folder}/{target.name}'
        if target.kind in ('sqlite', 'postgres') or trial.case.appends or not os.path.exists(path):
            continue
        if trial.content(target) != expected['target ' + target.name]:
            raise Wrong(f'{target.name} is there, and is not whole')


def compare(trial, expected):
    found = trial.result()
    for name, wanted in expected.items():
        if found[name] == wanted:
            continue
        if name == 'ledger' and trial.case.appends and found[name]['totals']['read'] == 0:
            continue  # killed when all was done: the next run had nothing to add
        if name == 'ledger':
            raise Wrong(f'the ledger is\n{found[name]}\nnot\n{wanted}')
        differ = [i for i in range(min(len(found[name]), len(wanted))) if found[name][i] != wanted[i]]
        at = differ[0] if differ else min(len(found[name]), len(wanted))
        raise Wrong(f'{name} differs: {len(found[name])} long, not {len(wanted)}, from {at} on: '
                    f'{found[name][at:at + 2]!r:.300}, not {wanted[at:at + 2]!r:.300}')
    if trial.leftovers():
        raise Wrong(f'left behind: {trial.leftovers()}')


def said(trial):
    path = f'{trial.folder}/stderr.txt'
    with open(path, errors='replace') as log:
        return log.read()


# ---- the whole ----

class Whole:
    def __init__(self, leat, chosen, keep):
        self.leat, self.keep = leat, keep
        base = '/dev/shm' if os.access('/dev/shm', os.W_OK) else None
        self.folder = tempfile.mkdtemp(prefix='leat-crash-', dir=base)
        self.inputs = f'{self.folder}/inputs'
        os.mkdir(self.inputs)
        self.statements = cases.inputs_write(self.inputs)
        self.servers = Servers(os.path.dirname(leat))
        self.chosen = chosen
        self.expected, self.seconds = {}, {}
        self.tallies = {case.name: dict(trials=0, kills=0, resumed=0, failed=0, late=0)
                        for case in chosen}
        self.lock = threading.Lock()
        self.number = 0

    def trial(self, case):
        with self.lock:
            self.number += 1
            identity = self.number
        folder = f'{self.folder}/{identity}'
        os.mkdir(folder)
        return Trial(case, folder, self.inputs, self.servers, identity)

    def undisturbed(self, case):
        trial = self.trial(case)
        begin = time.monotonic()
        status = run_once(trial, self.leat, random.Random(0), None, 0)
        self.seconds[case.name] = max(time.monotonic() - begin, 0.03)
        if status != 0:
            raise Wrong(f'the undisturbed run ends with status {status}:\n{said(trial)}')
        model_check(trial)
        if trial.leftovers():
            raise Wrong(f'left behind: {trial.leftovers()}')
        self.expected[case.name] = trial.result()
        status = run_once(trial, self.leat, random.Random(1), None, 0)  # again: nothing changes
        if status != 0:
            raise Wrong(f'the run behind a finished one ends with status {status}:\n{said(trial)}')
        compare(trial, self.expected[case.name])
        trial.clean()

    def disturbed(self, case, seed, kills_wanted):
        """The number of kills."""
        rng = random.Random(seed)
        trial = self.trial(case)
        tally = self.tallies[case.name]
        kills = 0
        try:
            if not case.appends and rng.random() < 0.3:  # over a finished run
                if run_once(trial, self.leat, rng, None, 0) != 0:
                    raise Wrong('the first run fails')
            for attempt in range(kills_wanted + 1):
                kill = None
                if attempt < kills_wanted:
                    kill = rng.choice(('signs', 'time') if attempt == 0 else
                                      ('signs', 'time', 'early', 'early'))
                    if case.postgres and kill == 'signs':
                        kill = 'time'
                status = run_once(trial, self.leat, rng, kill, self.seconds[case.name])
                if status == -9:
                    kills += 1
                    untouched(trial, self.expected[case.name])
                    continue
                if status != 0:
                    raise Wrong(f'status {status}')
                tally['late'] += kill is not None
                break
            compare(trial, self.expected[case.name])
        except Exception as wrong:
            text = said(trial)
            with self.lock:
                tally['failed'] += 1
                print(f'FAILED: {case.name}, seed {seed}, after {kills} kills: {wrong}\n'
                      f'{text[-2000:]}\n'
                      f'replay: python3 tests/crash/run.py --leat {os.path.relpath(self.leat)} '
                      f'--case {case.name} --seed {seed}', flush=True)
            if self.keep:
                print(f'kept: {trial.folder}')
                return kills
        with self.lock:
            tally['trials'] += 1
            tally['kills'] += kills
            tally['resumed'] += 'going on where' in said(trial)
        trial.clean()
        return kills

    def prepare(self):
        """The cases that can run here and whose undisturbed run is right."""
        good = []
        for case in self.chosen:
            if not self.servers.ready(case):
                print(f'{case.name} (skipped: no server)')
                continue
            if case.postgres and not self.expected and 'source' in case.program:
                pass
            good.append(case)
        if self.servers.dsn:
            self.servers.psql(self.statements)

        def one(case):
            try:
                self.undisturbed(case)
                return case
            except Exception as wrong:
                print(f'FAILED: {case.name}, undisturbed: {wrong}', flush=True)
                self.tallies[case.name]['failed'] += 1
                return None
        with ThreadPoolExecutor(2) as pool:
            return [case for case in pool.map(one, good) if case]

    def close(self):
        self.servers.stop()
        if not self.keep:
            shutil.rmtree(self.folder)


def run_seeds(whole, good, arguments):
    if arguments.seed is not None:
        for case in good:
            whole.disturbed(case, arguments.seed, 1 + arguments.seed % KILLS_MOST)
        return
    done = [0]
    seeds = iter(range(arguments.first, 1 << 60))

    def worker(_):
        while done[0] < arguments.kills:
            with whole.lock:
                seed = next(seeds)
            case = good[seed % len(good)]
            kills = whole.disturbed(case, seed, 1 + seed % KILLS_MOST)
            with whole.lock:
                done[0] += kills
                if sum(t['failed'] for t in whole.tallies.values()) >= 10:
                    done[0] = arguments.kills
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(worker, range(2)))


def main():
    parser = argparse.ArgumentParser(description='kills runs and compares what comes of them')
    parser.add_argument('--leat', default='build/leat')
    parser.add_argument('--kills', type=int, default=80)
    parser.add_argument('--first', type=int, default=1, help='the first seed')
    parser.add_argument('--seed', type=int)
    parser.add_argument('--case', action='append')
    parser.add_argument('--keep', action='store_true', help='keep folders of what failed')
    arguments = parser.parse_args()
    chosen = [c for c in cases.cases_all()
              if not arguments.case or any(c.name.startswith(n) for n in arguments.case)]
    whole = Whole(os.path.abspath(arguments.leat), chosen, arguments.keep)
    try:
        good = whole.prepare()
        if good:
            run_seeds(whole, good, arguments)
    finally:
        whole.close()
    failed = 0
    print('case                    trials  kills  resumed  too late  failed')
    for name, tally in whole.tallies.items():
        failed += tally['failed']
        print(f'{name:<22} {tally["trials"]:7} {tally["kills"]:6} {tally["resumed"]:8} '
              f'{tally["late"]:9} {tally["failed"]:7}')
    kills = sum(t['kills'] for t in whole.tallies.values())
    trials = sum(t['trials'] for t in whole.tallies.values())
    print(f'{kills} kills')
    print(f'{trials + len(whole.expected) - failed} passed, {failed} failed')
    sys.exit(1 if failed else 0)


main()
