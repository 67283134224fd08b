#!/usr/bin/env python3
# Enrichment over HTTP: leat beside the textbook asyncio and aiohttp program and curl --parallel, all
# with 100 requests at a time, against the tests' own server on loopback, which answers after 10 ms
# and at once. bench/enrich.py [--build build] [--records 100000] [--runs 3]. The tables that leat and
# Python fill are compared first. Prints records a second and for each CPU-second of the client, the
# server's mean service time, and each bar. Exit status 1: an output differed.
import argparse
import importlib.util
import json
import os
import sqlite3
import statistics
import subprocess
import sys
import urllib.request

LIMIT = 100
HERE = os.path.dirname(os.path.abspath(__file__))
BARS, DIFFERENT = [], []


class Server:
    """The tests' HTTP server on a port of its own."""

    def __init__(self, build):
        self.process = subprocess.Popen([f'{build}/servers/http_server', '--port', '0'],
                                        stdout=subprocess.PIPE, text=True)
        self.base = f'http://127.0.0.1:{self.process.stdout.readline().strip()}'

    def ask(self, path):
        with urllib.request.urlopen(self.base + path) as answer:
            return answer.read().decode()

    def close(self):
        self.process.terminate()
        self.process.wait()


class Tool:
    def __init__(self, name, command, database):
        self.name, self.command, self.database = name, command, database
        self.walls, self.cpus, self.services, self.rss = [], [], [], 0

    def run(self, bench, server):
        for suffix in ('', '-wal', '-shm'):
            if self.database and os.path.exists(self.database + suffix):
                os.unlink(self.database + suffix)
        server.ask('/stats/clear')
        said = f'{bench.data}/measure.json'
        result = subprocess.run([bench.measure, said, 'sh', '-c', 'exec ' + self.command],
                                capture_output=True, check=False)
        if result.returncode:
            raise RuntimeError(f'{self.name}: status {result.returncode}: '
                               f'{result.stderr.decode(errors="replace")[:400]}')
        with open(said, encoding='utf-8') as file:
            seen = json.load(file)
        self.walls.append(seen['wall'])
        self.cpus.append(seen['cpu'])
        self.rss = max(self.rss, seen['rss_kib'] / 1024)
        self.services.append(json.loads(server.ask('/stats'))['mean_service_ns'] / 1e6)


def bar(text, value, limit):
    BARS.append((value >= limit, f'{text}: {value:.4g} (wanted at least {limit:.4g})'))


def rows_of(database):
    with sqlite3.connect(database) as connection:
        return sorted(connection.execute('SELECT id, value FROM enriched'))


class Bench:
    def __init__(self, arguments):
        self.build, self.records, self.runs = arguments.build, arguments.records, arguments.runs
        self.data = os.path.abspath(f'{arguments.build}/bench-data')
        self.measure = os.path.abspath(f'{arguments.build}/bench/measure')
        os.makedirs(self.data, exist_ok=True)
        self.server = Server(os.path.abspath(arguments.build))

    def tools(self, path, count):
        """The tools for `count` records whose answers come from the server's `path`."""
        base = self.server.base + path
        source = f'{self.data}/enrich-{count}.ndjson'
        with open(source, 'w', encoding='utf-8') as file:
            file.writelines(f'{{"id":{i},"name":"record {i}"}}\n' for i in range(count))
        found = []
        database = f'{self.data}/enrich-leat.db'
        program = (f'lookup http "{base}/{{id}}" as answer {{ concurrency {LIMIT} }} | '
                   'select id, value = answer.value | '
                   f'into sqlite "{database}" {{ table enriched mode replace }}')
        found.append(Tool('leat', f"{os.path.abspath(self.build)}/leat -q '{program}' {source}",
                          database))
        if importlib.util.find_spec('aiohttp'):
            database = f'{self.data}/enrich-python.db'
            found.append(Tool('aiohttp', f'{sys.executable} {HERE}/aiohttp_peer.py {source} {base} '
                                         f'{database}', database))
        config = f'{self.data}/enrich-{count}.curl'
        with open(config, 'w', encoding='utf-8') as file:
            file.write('silent\n')
            file.writelines(f'url = "{base}/{i}"\noutput = "/dev/null"\n' for i in range(count))
        found.append(Tool('curl', f'curl --parallel --parallel-max {LIMIT} --config {config}', None))
        return found

    def case(self, title, path, count):
        tools = self.tools(path, count)
        seen = {}
        for _ in range(self.runs):
            for tool in tools:
                tool.run(self, self.server)
                if tool.database:
                    seen[tool.name] = rows_of(tool.database)
        print(f'\n{title}: {count:,} records')
        for name, rows in seen.items():
            same = rows == seen['leat'] and len(rows) == count
            print(f'  outputs: {name}: {len(rows)} rows, {"equal" if same else "DIFFERENT"}')
            if not same:
                DIFFERENT.append(f'{title}: {name}')
        print(f'  {"tool":<10} {"wall s":>8} {"rec/s":>9} {"CPU s":>8} {"rec/CPU-s":>10} '
              f'{"RSS MiB":>8} {"service ms":>11}')
        by = {}
        for tool in tools:
            wall, cpu = statistics.median(tool.walls), statistics.median(tool.cpus)
            service = statistics.median(tool.services)
            by[tool.name] = (count / wall, count / cpu, service)
            print(f'  {tool.name:<10} {wall:8.3f} {count / wall:9.0f} {cpu:8.3f} {count / cpu:10.0f} '
                  f'{tool.rss:8.1f} {service:11.3f}', flush=True)
        return by


def main():
    parser = argparse.ArgumentParser(description='enrichment over HTTP beside Python and curl')
    parser.add_argument('--build', default='build')
    parser.add_argument('--records', type=int, default=100000)
    parser.add_argument('--runs', type=int, default=3)
    bench = Bench(parser.parse_args())
    try:
        by = bench.case('answers after 10 ms', '/delay/10', bench.records // 2)
        rate, _, service = by['leat']
        bar('10 ms: share of 100 divided by the mean service time', rate * service / 1000 / LIMIT, 0.95)
        by = bench.case('answers at once', '/echo', bench.records)
        for name, limit in (('aiohttp', 4), ('curl', 1)):
            if name in by:
                bar(f'at once: records for each CPU-second, times those of {name}',
                    by['leat'][1] / by[name][1], limit)
    finally:
        bench.server.close()
    print()
    for met, text in BARS:
        print(f'{"met" if met else "MISSED":>7}  {text}')
    for text in DIFFERENT:
        print(f'{"WRONG":>7}  {text}')
    sys.exit(1 if DIFFERENT else 0)


main()
