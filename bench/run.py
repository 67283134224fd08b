#!/usr/bin/env python3
# Runs leat beside every peer that is installed (cat, zstd, jq, jaq, Miller, DuckDB's Python module):
# bench/run.py [--build build] [--megabytes 400] [--runs 5] [CASE…]. For each case outputs are
# compared first, normalised; then times are taken, warm cache, median of the runs; a peer that needs
# long gets fewer runs (at least one). Prints tables, then each bar with what was measured. The data
# is made once in BUILD/bench-data. Exit status 1: an output differed (a bar missed is only printed).
import argparse
import importlib.util
import json
import os
import shutil
import statistics
import subprocess
import sys

BUDGET = 20.0  # seconds a tool may use for its runs of one case, beyond the first
PEER = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'duckdb_peer.py')
PYTHON = sys.executable
BARS = []
DIFFERENT = []


class Tool:
    """How one tool does the job of a case: a shell command; `itself` if it times itself."""

    def __init__(self, name, command, itself=False, clean=()):
        self.name, self.command, self.itself, self.clean = name, command, itself, clean
        self.walls, self.cpus, self.rss = [], [], 0

    @property
    def wall(self):
        return statistics.median(self.walls)

    @property
    def cpu(self):
        return statistics.median(self.cpus)

    def run(self, measure):
        for path in self.clean:
            if os.path.exists(path):
                os.unlink(path)
        said = f'{measure}.json'
        result = subprocess.run([measure, said, 'sh', '-c', 'exec ' + self.command],
                                capture_output=True, check=False)
        if result.returncode:
            raise RuntimeError(f'{self.name}: status {result.returncode}: '
                               f'{result.stderr.decode(errors="replace")[:400]}')
        with open(said, encoding='utf-8') as file:
            seen = json.load(file)
        self.rss = max(self.rss, seen['rss_kib'] / 1024)
        if self.itself:
            seen = json.loads(result.stdout)
        self.walls.append(seen['wall'])
        self.cpus.append(seen['cpu'])


def installed(name):
    if name == 'duckdb':
        return importlib.util.find_spec('duckdb') is not None
    return shutil.which(name) is not None


def duckdb(sql):
    return f'{PYTHON} {PEER} "{sql}"'


def bar(text, value, limit, at_most):
    """One bar: `value` may be at most (or must be at least) `limit`."""
    met = value <= limit if at_most else value >= limit
    relation = 'at most' if at_most else 'at least'
    BARS.append((met, f'{text}: {value:.3g} (wanted {relation} {limit:g})'))


def measure(title, size, tools, bench):
    """Runs the tools in turn, so that a drift of the machine touches all alike; prints the table."""
    print(f'\n{title}')
    print(f'  {"tool":<10} {"wall s":>8} {"GB/s":>7} {"CPU s":>8} {"GB/CPU-s":>9} {"x leat":>7} '
          f'{"RSS MiB":>8} {"runs":>5}')
    for turn in range(bench.runs):
        for tool in tools:
            if turn == 0 or sum(tool.walls) < BUDGET:
                tool.run(bench.measure)
    leat = next(tool for tool in tools if tool.name == 'leat')
    for tool in tools:
        print(f'  {tool.name:<10} {tool.wall:8.3f} {size / tool.wall / 1e9:7.3f} {tool.cpu:8.3f} '
              f'{size / max(tool.cpu, 1e-6) / 1e9:9.3f} {tool.wall / leat.wall:7.2f} {tool.rss:8.1f} '
              f'{len(tool.walls):5}', flush=True)
    return {tool.name: tool for tool in tools}


def normal(value):
    """A value as one sees it whatever wrote it: numbers as doubles, times without their T and Z."""
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, (int, float)):
        return float(value)
    if isinstance(value, str) and len(value) >= 19 and value[4:5] == '-' and value[10] in ' T':
        return value.replace('T', ' ').removesuffix('Z').removesuffix('+00')
    return value


def outputs_compare(title, outputs):
    """outputs: tool name -> (shell command that writes NDJSON to stdout). leat is the measure."""
    seen = {}
    for name, command in outputs.items():
        result = subprocess.run(['sh', '-c', command], capture_output=True, check=False)
        if result.returncode:
            print(f'  {name}: {result.stderr.decode(errors="replace")[:400]}')
            DIFFERENT.append(f'{title}: {name}')
            continue
        seen[name] = [[(key, normal(value)) for key, value in json.loads(line).items()]
                      for line in result.stdout.decode().splitlines()]
    for name, rows in seen.items():
        same = rows == seen.get('leat')
        print(f'  outputs: {name}: {len(rows)} records, {"equal" if same else "DIFFERENT"}')
        if not same:
            DIFFERENT.append(f'{title}: {name}')


class Bench:
    def __init__(self, arguments):
        self.leat = os.path.abspath(f'{arguments.build}/leat')
        self.programs = os.path.abspath(f'{arguments.build}/bench')
        self.measure = f'{self.programs}/measure'
        self.data = os.path.abspath(f'{arguments.build}/bench-data')
        self.megabytes, self.runs = arguments.megabytes, arguments.runs
        os.makedirs(self.data, exist_ok=True)

    def make(self, name, command):
        """The data file `name`, made by `command` (its stdout) where it is not there yet."""
        path = f'{self.data}/{self.megabytes}-{name}'
        if not os.path.exists(path):
            subprocess.run(['sh', '-c', f'{command} > {path}.new && mv {path}.new {path}'], check=True)
        return path

    def log(self):
        return self.make('log.ndjson', f'{self.programs}/generate {self.megabytes}')

    def small_log(self):
        return self.make('small.ndjson', f'{self.programs}/generate 20')

    def flights(self):
        """The sample's rows again and again below one header."""
        times = max(1, self.megabytes * 1000000 // 2481495)
        return self.make('flights.csv', 'zstd -dcq examples/data/flights.csv.zst | python3 -c '
                         f'"import sys; h, b = sys.stdin.read().split(chr(10), 1); print(h); '
                         f'[sys.stdout.write(b) for _ in range({times})]"')

    def case_filter(self):
        """filter-project: three fields of the lines with status >= 500"""
        program = 'where status >= 500 | put latency_ms = latency * 1000 | select ts, path, latency_ms'
        jq = "-c 'select(.status >= 500) | {ts, path, latency_ms: (.latency * 1000)}'"
        mlr = ("--ijsonl --ojsonl filter '$status >= 500' then put '$latency_ms = $latency * 1000' "
               "then cut -o -f ts,path,latency_ms")
        sql = ("COPY (SELECT ts, path, latency * 1000 AS latency_ms FROM read_json('{0}', "
               "format = 'newline_delimited', columns = {{ts: 'VARCHAR', path: 'VARCHAR', "
               "status: 'BIGINT', latency: 'DOUBLE'}}) WHERE status >= 500) TO '{1}' (FORMAT json)")

        def commands(path, out):
            found = {'leat': f"{self.leat} -q '{program}' {path} > {out}"}
            for name in ('jq', 'jaq'):
                found[name] = f'{name} {jq} {path} > {out}'
            found['mlr'] = f'mlr {mlr} {path} > {out}'
            found['duckdb'] = duckdb(sql.format(path, out))
            return {name: text for name, text in found.items() if name == 'leat' or installed(name)}

        small, out = self.small_log(), f'{self.data}/filter.out'
        outputs_compare('filter', {
            name: f'{{ {text}; }} >&2 && cat {out}' for name, text in commands(small, out).items()})
        path = self.log()
        tools = [Tool(name, text, name == 'duckdb') for name, text in commands(path, out).items()]
        size = os.path.getsize(path)
        by = measure('filter-project', size, tools, self)
        bar('filter: GB for each CPU-second', size / 1e9 / by['leat'].cpu, 1.2, False)
        for name, limit in (('jq', 40), ('mlr', 40), ('jaq', 10)):
            if name in by:
                bar(f'filter: times faster than {name}', by[name].wall / by['leat'].wall, limit, False)
        if 'duckdb' in by:
            bar('filter: share of the wall time of DuckDB', by['leat'].wall / by['duckdb'].wall, 1 / 3, True)

    def case_pass(self):
        """pass-to-file: NDJSON to a file, every byte validated, beside cat"""
        path, copy = self.log(), f'{self.data}/pass.ndjson'
        tools = [Tool('leat', f'{self.leat} -q pass {path} -o {copy}', clean=[copy]),
                 Tool('cat', f'cat {path} > {copy}', clean=[copy])]
        tools[0].run(self.measure)
        same = subprocess.run(['cmp', path, copy], check=False).returncode == 0
        print(f'  outputs: leat: {"equal" if same else "DIFFERENT"}')
        if not same:
            DIFFERENT.append('pass')
        tools[0].walls, tools[0].cpus = [], []
        by = measure('pass-to-file', os.path.getsize(path), tools, self)
        bar('pass: speed as a share of cat', by['cat'].wall / by['leat'].wall, 0.8, False)

    def case_csv(self):
        """csv-to-ndjson: to /dev/null"""
        sql = "COPY (SELECT * FROM read_csv('{0}', nullstr = 'NA')) TO '{1}' (FORMAT json)"
        sample = self.make('sample.csv', 'zstd -dcq examples/data/flights.csv.zst')
        read = "{} -q --to ndjson 'from file \"{}\" {{ null \"NA\" }} | pass'"
        compared = {'leat': read.format(self.leat, sample)}
        if installed('duckdb'):
            out = f'{self.data}/csv.out'
            compared['duckdb'] = f'{duckdb(sql.format(sample, out))} >&2 && cat {out}'
        outputs_compare('csv', compared)
        path = self.flights()
        tools = [Tool('leat', read.format(self.leat, path) + ' > /dev/null')]
        if installed('mlr'):
            tools.append(Tool('mlr', f'mlr --icsv --ojsonl cat {path} > /dev/null'))
        if installed('duckdb'):
            tools.append(Tool('duckdb', duckdb(sql.format(path, '/dev/null')), True))
        by = measure('csv-to-ndjson', os.path.getsize(path), tools, self)
        for name, limit in (('duckdb', 4), ('mlr', 20)):
            if name in by:
                bar(f'csv: times faster than {name}', by[name].wall / by['leat'].wall, limit, False)

    def case_zstd(self):
        """zstd-in-zstd-out: a filter that keeps 4 %, from one frame and from many"""
        one = self.make('one.ndjson.zst', f'zstd -qc {self.log()}')
        many = self.make('many.ndjson.zst', f'split -b 4000000 --filter="zstd -qc" {self.log()}')
        out = f'{self.data}/zstd.ndjson.zst'
        size = os.path.getsize(self.log())
        text = f"{self.leat} -q 'where status >= 500'"
        wanted = f'{self.leat} -q \'where status >= 500\' {self.log()}'
        for path in (one, many):
            command = f'{text} {path} -o {out} && zstd -dcq {out} > {out}.plain && {wanted} | cmp - {out}.plain'
            same = subprocess.run(['sh', '-c', command], check=False).returncode == 0
            print(f'  outputs: {os.path.basename(path)}: {"equal" if same else "DIFFERENT"}')
            if not same:
                DIFFERENT.append(f'zstd: {path}')
        by = measure('zstd, one frame', size, [Tool('leat', f'{text} {one} -o {out}'),
                                               Tool('zstd', f'zstd -dcq {one} > /dev/null')], self)
        bar('zstd, one frame: speed as a share of zstd -dc', by['zstd'].wall / by['leat'].wall, 0.9, False)
        by = measure('zstd, many frames', size, [Tool('leat', f'{text} {many} -o {out}'),
                                                 Tool('zstd', f'zstd -dcq {one} > /dev/null')], self)
        bar('zstd, many frames: times faster than zstd -dc', by['zstd'].wall / by['leat'].wall, 1, False)

    def case_latency(self):
        """latency: stdin to stdout at 1,000 lines a second"""
        commands = {'leat': [self.leat, '-q', 'where n >= 0'], 'cat': ['cat'],
                    'jq': ['jq', '-c', '--unbuffered', 'select(.n >= 0)'],
                    'jaq': ['jaq', '-c', 'select(.n >= 0)'],
                    'mlr': ['mlr', '--ijsonl', '--ojsonl', '--records-per-batch', '1', 'filter', '$n >= 0']}
        print('\nlatency at 1,000 lines a second\n'
              f'  {"tool":<10} {"p50 ms":>8} {"p99 ms":>8} {"max ms":>8} {"core %":>8} {"RSS MiB":>8}')
        for name, command in commands.items():
            if name != 'leat' and not installed(name):
                continue
            result = subprocess.run([f'{self.programs}/latency', '1000', '5', *command],
                                    capture_output=True, text=True, check=False)
            if result.returncode:
                print(f'  {name:<10} {result.stderr.strip()[:100]}')
                continue
            said = json.loads(result.stdout)
            print(f'  {name:<10} {said["p50_ms"]:8.3f} {said["p99_ms"]:8.3f} {said["max_ms"]:8.3f} '
                  f'{100 * said["core_share"]:8.2f} {said["peak_rss_kib"] / 1024:8.1f}', flush=True)
            if name == 'leat':
                bar('latency: 99th percentile, ms', said['p99_ms'], 0.25, True)
                bar('latency: percent of a core', 100 * said['core_share'], 3, True)


def main():
    cases = {name[5:]: function for name, function in vars(Bench).items() if name.startswith('case_')}
    parser = argparse.ArgumentParser(description='leat beside its peers: outputs first, then times')
    parser.add_argument('--build', default='build')
    parser.add_argument('--megabytes', type=int, default=400)
    parser.add_argument('--runs', type=int, default=5)
    parser.add_argument('cases', nargs='*', choices=[[], *cases], metavar='CASE',
                        help=' | '.join(cases))
    arguments = parser.parse_args()
    bench = Bench(arguments)
    for name in arguments.cases or cases:
        print(f'\n== {cases[name].__doc__}')
        try:
            cases[name](bench)
        except RuntimeError as error:
            print(f'  {error}')
            DIFFERENT.append(f'{name}: failed')
    print()
    for met, text in BARS:
        print(f'{"met" if met else "MISSED":>7}  {text}')
    for text in DIFFERENT:
        print(f'{"WRONG":>7}  {text}')
    sys.exit(1 if DIFFERENT else 0)


main()
