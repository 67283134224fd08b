#!/usr/bin/env python3
# Peak RSS stays under --memory and 32 MiB whatever comes: tests/bounds/run.py [--leat build/leat]
# [--measure build/bench/measure] [--full] [NAME…]. Inputs are generated on the fly; --full makes
# them as large as promised (10 GB through stdin, a line of 1 GiB, 100,000 partitions), the tests a
# fraction of that. Each case also looks at what came out.
import argparse
import json
import os
import select
import subprocess
import sys
import tempfile
import threading
import time

MEMORY = 64 << 20
SLACK = 32 << 20
LIMIT = 120  # seconds; --full has fifteen times as many
CHUNK = 1 << 20


class Failed(Exception):
    pass


def expect(what, seen, wanted):
    if seen != wanted:
        raise Failed(f'{what}: {seen!r:.300}, wanted {wanted!r:.300}')


def pieces(size, piece):
    """`piece` again and again, at least `size` bytes in all, in chunks of about a megabyte."""
    chunk = piece * max(1, CHUNK // len(piece))
    for _ in range(max(1, size // len(chunk))):
        yield chunk


def feed(pipe, chunks):
    """Writes until all is taken or nobody reads any more."""
    try:
        for chunk in chunks:
            pipe.write(chunk)
        pipe.close()
    except BrokenPipeError:
        pass


class Bounds:
    def __init__(self, leat, measure, full):
        self.leat, self.measure, self.full = leat, measure, full
        self.note = ''

    def size(self, promised, fraction):
        return promised if self.full else promised // fraction

    def start(self, arguments, stdout):
        command = [self.measure, 'measured.json', self.leat, '--memory', str(MEMORY), *arguments]
        return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=stdout, stderr=subprocess.PIPE)

    def run(self, arguments, chunks, status=0):
        """Feeds chunks through stdin; returns (stdout, stderr) after looking at status and RSS."""
        with tempfile.TemporaryFile() as out:
            process = self.start(arguments, out)
            errors = []
            helpers = [threading.Thread(target=feed, args=(process.stdin, chunks)),
                       threading.Thread(target=lambda: errors.append(process.stderr.read()))]
            for helper in helpers:
                helper.start()
            try:
                process.wait(LIMIT * (15 if self.full else 1))
            except subprocess.TimeoutExpired:
                process.terminate()  # measure passes it on: once to stop, twice to abort
                process.terminate()
                raise Failed('it hangs') from None
            finally:
                for helper in helpers:
                    helper.join(10)
            errors = errors[0].decode(errors='replace')
            self.look(errors, status)
            out.seek(0)
            return out.read(), errors

    def look(self, errors, status):
        with open('measured.json', encoding='utf-8') as file:
            seen = json.load(file)
        self.note = f'{seen["rss_kib"] / 1024:.1f} MiB, {seen["wall"]:.2f} s'
        self.seconds = seen['wall']
        if seen['status'] != status:
            raise Failed(f'status {seen["status"]}, wanted {status}\n{errors[-2000:]}')
        if seen['rss_kib'] << 10 > MEMORY + SLACK:
            raise Failed(f'peak RSS {seen["rss_kib"] / 1024:.1f} MiB, at most '
                         f'{(MEMORY + SLACK) / (1 << 20):.0f} MiB')

    def case_stream(self):
        """10 GB through stdin"""
        line = b'{"ts":"2024-05-01T10:00:00Z","path":"/api/v2/orders","status":200,"n":1}\n'
        total = self.size(10 * 10**9, 33)
        lines = max(1, total // (len(line) * (CHUNK // len(line)))) * (CHUNK // len(line))
        out, _ = self.run(['where status == 200 | count'], pieces(total, line))
        expect('records', json.loads(out)['count'], lines)

    def case_long_line(self):
        """a line of 1 GiB: rejected, its neighbours delivered"""
        size = self.size(1 << 30, 4)

        def chunks():
            yield b'{"n":1}\n{"n":2,"text":"'
            yield from pieces(size, b'x' * CHUNK)
            yield b'"}\n{"n":3}\n'
        program = 'pass | reject into file "bad.ndjson" | fail when rejected > 1'
        out, _ = self.run([program], chunks())
        expect('neighbours', out, b'{"n":1}\n{"n":3}\n')
        with open('bad.ndjson', encoding='utf-8') as file:
            rejects = [json.loads(line) for line in file]
        expect('rejects', [(r['error'].split(':')[0], r['line']) for r in rejects], [('too_long', 2)])
        length = size + len('{"n":2,"text":""}')
        expect('its length', rejects[0]['length'] - length in (0, 1), True)  # with its line end or not
        expect('kept of the record', rejects[0]['record'][:30], '{"n":2,"text":"' + 'x' * 15)
        self.note += f', {size / self.seconds / 1e6:.0f} MB/s'

    def case_bomb(self):
        """a zstd bomb: little in, far too much out"""
        size = self.size(10 * 10**9, 20)
        self.compress('bomb.ndjson.zst', pieces(size, b'{"a":"' + b'0' * 1000 + b'"}\n'))
        out, _ = self.run(['count', 'bomb.ndjson.zst'], [])
        expect('ratio', os.path.getsize('bomb.ndjson.zst') * 1000 < size, True)
        expect('records', json.loads(out)['count'] > size // 2000, True)

    def case_bomb_of_one_line(self):
        """a zstd bomb that is one line"""
        size = self.size(1 << 30, 4)
        self.compress('bomb.ndjson.zst', pieces(size, b'0' * CHUNK))
        out, _ = self.run(['pass', 'bomb.ndjson.zst', '--reject', 'bad.ndjson'], [], 3)
        expect('output', out, b'')

    def case_window(self):
        """a zstd frame with a window beyond the memory limit: refused, saying so"""
        # A frame by hand (RFC 8878): no single segment, window of 2^31 bytes, one raw last block.
        with open('wide.ndjson.zst', 'wb') as file:
            file.write(bytes.fromhex('28b52ffd' + '00' + 'a8' + '410000') + b'{"n":1}\n')
        _, errors = self.run(['pass', 'wide.ndjson.zst'], [], 1)
        expect('an error about the window or memory', any(
            word in errors for word in ('window', 'memory')), True)

    def compress(self, path, chunks):
        with open(path, 'wb') as out:
            process = subprocess.Popen(['zstd', '-q', '-T1'], stdin=subprocess.PIPE, stdout=out)
            for chunk in chunks:
                process.stdin.write(chunk)
            process.stdin.close()
            expect('zstd', process.wait(LIMIT), 0)

    def case_unread_pipe(self):
        """a sink pipe that nobody reads: the input waits, then a closed stdout ends it quietly"""
        process = self.start(['pass', '--quiet'], subprocess.PIPE)
        os.set_blocking(process.stdin.fileno(), False)
        poll = select.poll()
        poll.register(process.stdin, select.POLLOUT)
        line = b'{"text":"' + b'y' * 200 + b'"}\n'
        chunk = line * (CHUNK // len(line))
        sent = 0
        rest = b''
        deadline = time.monotonic() + 60
        while poll.poll(1500) and sent < 1 << 31 and time.monotonic() < deadline:
            rest = rest or chunk
            try:
                done = os.write(process.stdin.fileno(), rest)
            except BlockingIOError:
                continue
            except BrokenPipeError:
                break
            sent += done
            rest = rest[done:]
        expect('the input was held back', sent < MEMORY + SLACK, True)
        process.stdout.close()
        try:
            process.stdin.close()
        except BrokenPipeError:
            pass
        errors = process.stderr.read().decode(errors='replace')
        process.wait(LIMIT)
        self.look(errors, 0)
        self.note += f', {sent / (1 << 20):.1f} MiB taken'

    def case_nesting(self):
        """nesting 1,000,000 deep: rejected, its neighbours delivered"""
        deep = 1000000
        for opening, closing in ((b'[', b']'), (b'{"a":', b'}')):
            text = b'{"n":1}\n' + opening * deep + b'1' + closing * deep + b'\n{"n":3}\n'
            program = 'pass | reject into file "bad.ndjson" | fail when rejected > 1'
            out, _ = self.run([program], [text])
            expect('neighbours', out, b'{"n":1}\n{"n":3}\n')

    def case_partitions(self):
        """100,000 partitions"""
        count = self.size(100000, 20)
        lines = (b'{"k":%d,"turn":%d}\n' % (n, turn) for turn in range(2) for n in range(count))
        self.run(['into file "out/{string(k % 100)}/{string(k)}.ndjson"'], lines)
        seen = {}
        for folder, _, names in os.walk('out'):
            for name in names:
                with open(os.path.join(folder, name), 'rb') as file:
                    seen[int(name.split('.')[0])] = file.read()
        expect('files', len(seen), count)
        for number in (0, count // 2, count - 1):
            expect(f'file {number}', seen[number],
                   b'{"k":%d,"turn":0}\n{"k":%d,"turn":1}\n' % (number, number))

    def case_many_columns(self):
        """a CSV header of 20,000 columns"""
        header = ','.join(f'c{n}' for n in range(20000)).encode() + b'\n'
        out, _ = self.run(['--from', 'csv', '--to', 'ndjson', 'select c0, c19999'],
                          [header, b'1' + b',2' * 19999 + b'\n'])
        expect('output', out, b'{"c0":1,"c19999":2}\n')


def main():
    cases = {name[5:]: function for name, function in vars(Bounds).items() if name.startswith('case_')}
    parser = argparse.ArgumentParser(description='memory stays bounded whatever comes')
    parser.add_argument('--leat', default='build/leat')
    parser.add_argument('--measure')
    parser.add_argument('--full', action='store_true')
    parser.add_argument('names', nargs='*', metavar='NAME', help=' | '.join(cases))
    arguments = parser.parse_args()
    leat = os.path.abspath(arguments.leat)
    measure = os.path.abspath(arguments.measure or f'{os.path.dirname(leat)}/bench/measure')
    passed = failed = 0
    for name in arguments.names or cases:
        bounds = Bounds(leat, measure, arguments.full)
        with tempfile.TemporaryDirectory() as folder:
            os.chdir(folder)
            try:
                cases[name](bounds)
                passed += 1
                print(f'ok: {name}: {cases[name].__doc__}: {bounds.note}', flush=True)
            except (Failed, OSError, ValueError, KeyError, subprocess.TimeoutExpired) as error:
                failed += 1
                print(f'FAILED: {name}: {cases[name].__doc__}: {bounds.note}\n  {error}', flush=True)
            os.chdir('/')
    print(f'{passed} passed, {failed} failed')
    sys.exit(1 if failed else 0)


main()
