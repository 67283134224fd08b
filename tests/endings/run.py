#!/usr/bin/env python3
# How runs end that do not end well: tests/endings/run.py [--leat build/leat] [CASE…]. Inputs that
# shrink or are cut, disks that fill up behind a compressor, two runs on one target, signals that come
# twice, time limits, failed commits. Each case waits on conditions: a byte that arrives, a file that
# grows, a signal that was taken; nothing sleeps.
import argparse
import ctypes
import fcntl
import json
import os
import random
import resource
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import zlib

LIMIT = 300 if os.environ.get('LEAT_SANITIZED') else 60  # seconds; then a run hangs
OLD = b'old\n'
PART = '.old.ndjson.leat-part'
LEAT = ''


def check(is_so, *what):
    if not is_so:
        raise AssertionError(' '.join(str(part) for part in what))


def write(name, content):
    with open(name, 'wb') as file:
        file.write(content if isinstance(content, bytes) else content.encode())


def read(name):
    with open(name, 'rb') as file:
        return file.read()


def numbers(first, end):
    return b''.join(b'{"n":%d}\n' % n for n in range(first, end))


def start(*arguments, environment=None, **more):
    """The run, its stdin closed unless asked for."""
    pipes = {'stdin': subprocess.DEVNULL, 'stdout': subprocess.PIPE, 'stderr': subprocess.PIPE,
             'bufsize': 0}
    return subprocess.Popen([LEAT, *arguments], env={**os.environ, **(environment or {})},
                            **{**pipes, **more})


def end(process):
    """(status, stdout, stderr)"""
    try:
        out, err = process.communicate(timeout=LIMIT)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise AssertionError('the run hangs') from None
    return process.returncode, out, err.decode(errors='replace')


def leat(*arguments, **more):
    return end(start(*arguments, **more))


def wait_until(condition, process):
    """Conditions that nothing wakes anybody for: asked again and again."""
    deadline = time.monotonic() + LIMIT
    while not condition():
        check(process.poll() is None, 'ended too early:', process.poll())
        check(time.monotonic() < deadline, 'the condition never came true')
        os.sched_yield()


def expect_failure(done, *said, status=1):
    check(done[0] == status, 'status', done[0], done[2][-800:])
    for part in said:
        check(part in done[2], 'nothing of', repr(part), 'in', done[2][-800:])


def expect_old(name='old.ndjson', entries=None):
    check(read(name) == OLD, name, 'has changed')
    parts = [n for n in os.listdir('.') if n.endswith('.leat-part')]
    check(not parts, 'left behind:', parts)


def report(name='report.json'):
    return json.loads(read(name))


# ---- inputs ----

def file_that_shrinks():
    """Nobody reads stdout while the file is cut, and the run cannot have read all of it ahead."""
    for engine in ('uring', 'posix'):
        content = numbers(0, 4000000)
        write('in.ndjson', content)
        run = start('pass | into stdout | into file "old.ndjson"', 'in.ndjson', '--memory', '16MiB',
                    '--io', engine)
        first = run.stdout.read(1)
        os.truncate('in.ndjson', 100)
        done = end(run)
        expect_failure(done, 'in.ndjson ends at byte', 'something cut it while it was read')
        check(content.startswith(first + done[1]), 'stdout is no beginning of the input')
        expect_old()


def compressed_prefix(kind):
    """1,000 records that any reader can have, then a few bytes of more."""
    if kind == 'gz':
        packer = zlib.compressobj(6, zlib.DEFLATED, 31)
        return packer.compress(numbers(0, 1000)) + packer.flush(zlib.Z_FULL_FLUSH) + \
            (packer.compress(numbers(1000, 5000)) + packer.flush())[:2]
    frames = [subprocess.run(['zstd', '-q', '-c'], input=numbers(*span), capture_output=True,
                             check=True).stdout for span in ((0, 1000), (1000, 5000))]
    return frames[0] + frames[1][:9]


def ledger_of_a_cut_input():
    """What came before the cut is in the ledger and nothing else; filtered, written and rejected."""
    for kind in ('zst', 'gz'):
        write(f'in.ndjson.{kind}', compressed_prefix(kind))
        done = leat('where n % 4 != 0 | put m = 10 / (n % 10 - 5)', f'in.ndjson.{kind}', '--report',
                    'report.json', '--reject', 'rejects.ndjson')
        expect_failure(done, f'in.ndjson.{kind}', 'ends at byte', 'in the middle of')
        is_ = {key: report()[key] for key in ('status', 'read', 'written', 'filtered', 'rejected')}
        # of n = 0…999: a quarter is filtered; n % 10 == 5 divides by zero, which is odd, so not filtered
        must = {'status': 'failed', 'read': 1000, 'written': 650, 'filtered': 250, 'rejected': 100}
        check(is_ == must, kind, is_, 'should be', must)
        check(len(done[1].splitlines()) == 650, len(done[1].splitlines()), 'lines')


def corrupt_checksum():
    for command, kind in ((['zstd', '-q', '--check'], 'zst'), (['gzip'], 'gz')):
        packed = bytearray(subprocess.run([*command, '-c'], input=numbers(0, 50000), check=True,
                                          capture_output=True).stdout)
        packed[-5 if kind == 'gz' else -1] ^= 1  # gzip: the checksum, then four bytes of length
        write(f'in.ndjson.{kind}', bytes(packed))
        expect_failure(leat('pass', f'in.ndjson.{kind}', '-o', 'old.ndjson'), f'in.ndjson.{kind}',
                       'damaged at byte', 'checksum' if kind == 'zst' else 'data check')
        expect_old()


# ---- outputs ----

def incompressible(records):
    dice = random.Random(7)
    return ''.join('{"t":"%s"}\n' % dice.randbytes(300).hex() for _ in range(records))


def disk_full_behind_zstd():
    """A small file system where one may be mounted; a limit on the size of files everywhere."""
    write('in.ndjson', incompressible(10000))

    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))

    for name in ('old.ndjson.zst', 'old.ndjson.gz'):
        for engine in ('uring', 'posix'):
            write(name, OLD)
            expect_failure(leat('pass', 'in.ndjson', '-o', name, '--io', engine, preexec_fn=limit), name,
                           'File too large')
            expect_old(name)
    os.mkdir('full')
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(b'tmpfs', b'full', b'tmpfs', 0, b'size=1m') != 0:
        print('skipped: a small tmpfs may not be mounted here')
        return
    try:
        write('full/old.ndjson.zst', OLD)
        expect_failure(leat('pass', 'in.ndjson', '-o', 'full/old.ndjson.zst'),
                       'full/old.ndjson.zst', 'No space left on device')
        check(read('full/old.ndjson.zst') == OLD, 'the old target has changed')
        check(os.listdir('full') == ['old.ndjson.zst'], os.listdir('full'))
    finally:
        check(libc.umount2(b'full', 2) == 0, 'cannot unmount')


def failed_commit_publishes_nothing():
    """A compressor keeps so little to itself until the end: what fails is the commit."""
    write('in.ndjson', numbers(0, 10))
    for program in ('into file "/dev/full" { format ndjson  compression zstd }\ninto file "old.ndjson"',
                    'into file "old.ndjson"\ninto file "/dev/full" { format ndjson  compression gzip }'):
        for _ in range(20):
            expect_failure(leat(program, 'in.ndjson'), '/dev/full', 'No space left on device')
            expect_old()


def two_runs_on_one_target():
    """The first one's part file grows, so it is locked."""
    first = start('pass', '-o', 'old.ndjson', stdin=subprocess.PIPE)
    feeder = Feeder(first, numbers(0, 1000000), True)
    wait_until(lambda: os.path.exists(PART) and os.path.getsize(PART) > 0, first)
    write('in.ndjson', numbers(0, 10))
    expect_failure(leat('pass', 'in.ndjson', '-o', 'old.ndjson'), f'process {first.pid}',
                   'old.ndjson', status=75)
    check(read('old.ndjson') == OLD, 'the old target has changed')
    feeder.finish()
    status, _, err = end(first)
    check(status == 0, status, err)
    check(read('old.ndjson') == numbers(0, 1000000), 'the first run was disturbed')


def failed_replace_leaves_no_table():
    """Swapping the new table in would leave a row of another one without what it refers to."""
    base = sqlite3.connect('x.db')
    base.executescript('CREATE TABLE t(n INTEGER PRIMARY KEY); INSERT INTO t VALUES (-1);'
                       'CREATE TABLE other(x REFERENCES t(n)); INSERT INTO other VALUES (-1)')
    base.close()
    write('in.ndjson', numbers(0, 100))
    expect_failure(leat('pass | select n | into sqlite "x.db" { table t  mode replace }', 'in.ndjson'),
                   'x.db', 'would refer to rows that the new t lacks')
    base = sqlite3.connect('x.db')
    tables = [row[0] for row in base.execute('SELECT name FROM sqlite_schema WHERE tbl_name '
                                             "<> 'leat_commit' ORDER BY name")]
    rows = base.execute('SELECT n FROM t').fetchall()
    base.close()
    check(tables == ['other', 't'], tables)
    check(rows == [(-1,)], rows)


class Feeder(threading.Thread):
    """Writes to the run's stdin as it takes it; `fed` says how far it is. Keeps it open if asked."""

    def __init__(self, process, content, keeps_open):
        super().__init__(daemon=True)
        self.process, self.content, self.keeps_open, self.fed = process, content, keeps_open, 0
        self.pipe, process.stdin = process.stdin, None  # communicate would close it
        self.start()

    def run(self):
        try:
            while self.fed < len(self.content):
                self.fed += os.write(self.pipe.fileno(), self.content[self.fed:self.fed + 65536])
            if not self.keeps_open:
                self.pipe.close()
        except OSError:  # it does not read any more
            pass

    def finish(self):
        self.join(LIMIT)
        self.pipe.close()


# ---- signals and time ----

def full_pipe():
    """As large as one may be, so that leat cannot make it larger."""
    with open('/proc/sys/fs/pipe-max-size', encoding='ascii') as file:
        size = max(int(file.read()), 1 << 20)
    reading, writing = os.pipe()
    size = fcntl.fcntl(writing, 1031, size)  # F_SETPIPE_SZ
    check(os.write(writing, bytes(size)) == size, 'the pipe is not full')
    return reading, writing


def signal_taken(process, number):
    """No thread of the process has the signal still before it."""
    with open(f'/proc/{process.pid}/status', encoding='ascii') as file:
        pending = [int(line.split()[1], 16) for line in file if line.startswith('ShdPnd')]
    return not pending[0] >> (number - 1) & 1


def second_signal():
    """The first waits for a reader that does not read; the second does not. A compressor keeps few
    records to itself until the commit, which then waits."""
    for first, second, records, sink in ((signal.SIGINT, signal.SIGINT, 1000000, ''),
                                         (signal.SIGTERM, signal.SIGINT, 10, ''),
                                         (signal.SIGINT, signal.SIGINT, 10, '{ compression zstd }'),
                                         (signal.SIGINT, signal.SIGTERM, 1000000, '{ compression gzip }')):
        if os.environ.get('LEAT_SANITIZED'):  # tsan delivers late, in the order of numbers, equal ones once
            first, second = signal.SIGINT, signal.SIGTERM
        reading, writing = full_pipe()
        run = start(f'pass | into stdout {sink} | into file "old.ndjson"', '--memory', '16MiB',
                    stdin=subprocess.PIPE, stdout=writing)
        os.close(writing)
        feeder = Feeder(run, numbers(0, records), True)
        wait_until(lambda: os.path.exists(PART), run)
        run.send_signal(first)
        wait_until(lambda: signal_taken(run, first), run)
        check(run.poll() is None, 'the first signal ended it')
        run.send_signal(second)
        done = end(run)
        check(done[0] == 128 + first, 'status', done[0], done[2])
        expect_old()
        os.close(reading)
        feeder.finish()


def time_limits():
    """Each says which one it was, and no other."""
    silent = {'stdin': subprocess.PIPE}
    write('in.ndjson', numbers(0, 1000000))
    both = ' | into stdout | into file "old.ndjson"'
    cases = (('from stdin { timeout 200ms } | pass' + both, silent, 'timeout of the source'),
             ('from file "in.ndjson" | into stdout { timeout 200ms } | into file "old.ndjson"', {},
              'stdout took nothing for'),
             ('pipeline short { timeout 200ms }\nfrom stdin | pass' + both, silent,
              "the run's timeout of 0.200 s has passed"),
             ('pipeline short { timeout 200ms }\nfrom file "in.ndjson" | pass' + both, {},
              "the run's timeout of 0.200 s has passed"),
             # held up in the commit
             ('pipeline short { timeout 200ms }\nfrom file "in.ndjson" | head 9 | '
              'into stdout { compression gzip } | into file "old.ndjson"', {},
              "the run's timeout of 0.200 s has passed"))
    for program, more, said in cases:
        reading, writing = full_pipe()
        run = start(program, stdout=writing, **more)
        os.close(writing)
        pipe, run.stdin = run.stdin, None  # stays open
        done = end(run)
        expect_failure(done, said)
        others = [case[2] for case in cases if case[2] != said and case[2] in done[2]]
        check(not others, 'also said', others)
        check(done[2].count('leat: error') == 1, done[2])
        expect_old()
        os.close(reading)
        if pipe:
            pipe.close()


# ---- records ----

def stops_at_the_first_reject():
    """Just what stands in front of the record that fails is printed, whoever comes to it first."""
    lines = [b'{"n":%d,"d":%d}\n' % (n, n % 3 + 1) for n in range(20000)]
    out = [b'{"n":%d,"d":%d,"q":%d}\n' % (n, n % 3 + 1, 12 // (n % 3 + 1)) for n in range(20000)]
    failing = {b'{"n":1,"d":0}\n': 'divide_by_zero', b'{"n":1,"d":"x"}\n': 'no_such_overload',
               b'{"n":1,oops}\n': 'malformed'}
    for at in (0, 1, 700, 12345, 19999):
        for bad, cause in failing.items():
            # and others behind it, which do not count
            content = lines[:at] + [bad] + lines[at:at + 300] + [b'{"n":2,"d":0}\n', b'oops\n'] + lines[at:]
            write('in.ndjson', b''.join(content))
            for knobs in ({}, {'LEAT_BATCH_TEXT': '2000'}):
                done = leat('put q = 12 / d', 'in.ndjson', '-j', '4', environment=knobs)
                expect_failure(done, f'in.ndjson:{at + 1}', cause)
                check(done[1] == b''.join(out[:at]), at, cause, knobs, 'stdout has',
                      done[1].count(b'\n'), 'lines')


def serial_stage_without_room():
    """Keys need far more room than a batch has; the stage takes its records bit by bit."""
    dice = random.Random(3)
    sizes = [dice.randrange(1, 9) * 500 for _ in range(3000)]
    write('in.ndjson', ''.join('{"t":"%s"}\n' % ('x' * size) for size in sizes))
    key = ' + '.join(['t'] * 10)
    done = leat(f'skip 7 | count by k = size({key}) | head 100', 'in.ndjson', '--memory', '16MiB')
    check(done[0] == 0, done[2])
    counted = [json.loads(line) for line in done[1].splitlines()]
    order = list(dict.fromkeys(sizes[7:]))
    must = [{'k': 10 * size, 'count': sizes[7:].count(size)} for size in order]
    check(sorted(counted, key=str) == sorted(must, key=str), counted, 'should be', must)


CASES = [file_that_shrinks, ledger_of_a_cut_input, corrupt_checksum, disk_full_behind_zstd,
         failed_commit_publishes_nothing, failed_replace_leaves_no_table, two_runs_on_one_target,
         second_signal, time_limits, stops_at_the_first_reject, serial_stage_without_room]


def main():
    global LEAT
    parser = argparse.ArgumentParser()
    parser.add_argument('--leat', default='build/leat')
    parser.add_argument('cases', nargs='*')
    arguments = parser.parse_args()
    LEAT = os.path.abspath(arguments.leat)
    failed = 0
    chosen = [c for c in CASES if not arguments.cases or c.__name__ in arguments.cases]
    for case in chosen:
        with tempfile.TemporaryDirectory(prefix='leat-endings-') as folder:
            os.chdir(folder)
            write('old.ndjson', OLD)
            try:
                case()
            except (AssertionError, OSError, KeyError, ValueError, subprocess.SubprocessError) as error:
                failed += 1
                where = traceback.extract_tb(error.__traceback__)
                line = [f.lineno for f in where if f.name == case.__name__]
                print(f'FAILED: {case.__name__}:{line[-1] if line else "?"}: {error!s:.2000}', flush=True)
            os.chdir('/')
    print(f'{len(chosen) - failed} passed, {failed} failed')
    sys.exit(1 if failed or not chosen else 0)


main()
