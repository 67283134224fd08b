#!/usr/bin/env python3
# Runs every step of the tests, two at a time, and sums what they report; `make test` calls it with
# everything built. tests/run.py --build BUILD [STEP…] runs the steps whose names begin so. A step's
# output lies in BUILD/log/STEP.txt and is shown when it fails. A step reports by CUnit's summary or
# by lines "N passed, N failed"; one that ends with another status than 0 has failed in any case.
import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

SUITES = ['core', 'lang', 'formats', 'clients', 'io', 'stages', 'pipeline', 'cli']
SCRIPTS = ['golden', 'examples', 'model', 'endings', 'conformance', 'same', 'torture', 'crash']
SANITIZERS = {'asan': 'address,undefined', 'tsan': 'thread'}
FUZZ_SECONDS = '10'
TIME_LIMIT = 900


class Step:
    def __init__(self, name, command, environment=None, alone=False):
        self.name, self.command, self.alone = name, command, alone
        self.environment = {**os.environ, **(environment or {})}
        for name in ('MAKEFLAGS', 'MAKELEVEL', 'MFLAGS'):  # a make below is one of its own
            self.environment.pop(name, None)
        self.passed = self.failed = 0
        self.seconds = 0.0
        self.skipped = []
        self.output = ''


def suites_of(build, prefix='', environment=None):
    environment = {'LEAT': os.path.abspath(f'{build}/leat'), **(environment or {})}
    found = []
    for suite in SUITES:
        if os.path.exists(f'{build}/tests/{suite}'):
            found.append(Step(f'{prefix}unit/{suite}', [f'{build}/tests/{suite}'], environment))
    for script in SCRIPTS:
        if os.path.exists(f'tests/{script}/run.py'):
            command = ['python3', f'tests/{script}/run.py', '--leat', f'{build}/leat']
            found.append(Step(prefix + script, command, environment))
    return found


def steps_plain(build):
    found = [Step('lint', ['python3', 'tests/lint/lint.py']),
             Step('lint/planted', ['python3', 'tests/lint/planted.py'])]
    found += suites_of(build)
    make = os.environ.get('MAKE', 'make')
    faults = ['python3', 'tests/faults/postgres.py', '--leat', f'{build}/leat']
    found.append(Step('faults/postgres', faults))
    found.append(Step('install', ['sh', 'tests/install.sh', make, build]))
    pages = f'rm -rf {build}/reference && mkdir {build}/reference && ' \
            f'{build}/leat help --markdown {build}/reference && diff -r {build}/reference docs/reference'
    found.append(Step('reference', ['sh', '-c', pages]))
    if shutil.which('aarch64-linux-gnu-gcc'):
        found.append(Step('cross', [make, f'BUILD={build}', 'cross']))
    bounds = ['python3', 'tests/bounds/run.py', '--leat', f'{build}/leat']
    found.append(Step('bounds', bounds, alone=True))
    return found


def steps_sanitized():
    """The same suites once more under each sanitizer; their builds are steps too."""
    options = {'ASAN_OPTIONS': 'detect_leaks=1:detect_stack_use_after_return=1',
               'UBSAN_OPTIONS': 'print_stacktrace=1', 'TSAN_OPTIONS': 'second_deadlock_stack=1',
               'LEAT_SANITIZED': '1'}
    found = []
    for name in SANITIZERS:
        found += suites_of(f'build/{name}', f'{name}/', options)
    return found


def fuzzers():
    names = sorted(f[:-2] for f in os.listdir('tests/fuzz') if f.endswith('.c')) \
        if os.path.isdir('tests/fuzz') else []
    make = os.environ.get('MAKE', 'make')
    return [Step(f'fuzz/{name}', [make, f'fuzz-{name}', f'SECONDS={FUZZ_SECONDS}']) for name in names]


def builds():
    """Sanitizer and fuzz builds: each fails as a whole, like a test."""
    make = os.environ.get('MAKE', 'make')
    found = [Step(f'build/{name}', [make, f'BUILD=build/{name}', f'SAN={flags}', 'OPT=-O1', 'tests'],
                  alone=True) for name, flags in SANITIZERS.items()]
    found.append(Step('build/fuzz', [make, 'fuzzers'], alone=True))
    return found


def step_read(step):
    """Adds up what the step's output says."""
    reported = False
    for match in re.finditer(r'^\s+tests\s+\d+\s+\d+\s+(\d+)\s+(\d+)\s+\d+$', step.output, re.M):
        step.passed += int(match.group(1))
        step.failed += int(match.group(2))
        reported = True
    for match in re.finditer(r'^(?:[\w/]+: )?(\d+) passed, (\d+) failed$', step.output, re.M):
        step.passed += int(match.group(1))
        step.failed += int(match.group(2))
        reported = True
    step.skipped = re.findall(r'\(?skipped: ([^\n)]*)', step.output)
    return reported


def step_run(step, folder):
    started = time.monotonic()
    path = os.path.join(folder, step.name.replace('/', '-') + '.txt')
    with open(path, 'wb') as log:
        process = subprocess.Popen(step.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                   env=step.environment, start_new_session=True)
        try:
            status = process.wait(TIME_LIMIT)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            status = f'not done after {TIME_LIMIT} s'
    step.seconds = time.monotonic() - started
    with open(path, encoding='utf-8', errors='replace') as log:
        step.output = log.read()
    reported = step_read(step)
    if status != 0 and step.failed == 0:
        step.failed = 1
        step.output += f'\n{step.name}: status {status}\n'
    elif status == 0 and not reported:
        step.passed = 1
    return step


PRINTING = threading.Lock()


def step_print(step):
    with PRINTING:
        mark = 'FAILED' if step.failed else 'ok'
        note = f'  ({len(step.skipped)} skipped)' if step.skipped else ''
        print(f'{mark:>6}  {step.name:<22} {step.passed:6} passed {step.failed:4} failed '
              f'{step.seconds:7.1f} s{note}', flush=True)
        for why in sorted(set(step.skipped)):
            print(f'          skipped: {why}')
        if step.failed:
            shown = step.output.splitlines()[-60:]
            print('\n'.join('        | ' + line for line in shown), flush=True)


def steps_run(steps, folder):
    """Steps that must be alone run after the others, one by one."""
    with ThreadPoolExecutor(max(2, os.cpu_count() or 2)) as pool:
        for step in pool.map(lambda s: step_run(s, folder), [s for s in steps if not s.alone]):
            step_print(step)
    for step in steps:
        if step.alone:
            step_print(step_run(step, folder))
    return steps


def main():
    parser = argparse.ArgumentParser(description='runs all tests and sums their results')
    parser.add_argument('--build', default='build')
    parser.add_argument('steps', nargs='*')
    arguments = parser.parse_args()
    folder = os.path.join(arguments.build, 'log')
    os.makedirs(folder, exist_ok=True)
    started = time.monotonic()
    full = os.environ.get('CI') == 'true'

    def wanted(steps):
        chosen = arguments.steps
        return [s for s in steps if not chosen or any(s.name.startswith(c) for c in chosen)]

    done = steps_run(wanted(steps_plain(arguments.build)), folder)
    if full:
        done += steps_run(wanted(builds()), folder)
        done += steps_run(wanted(steps_sanitized()), folder)
        done += steps_run(wanted(fuzzers()), folder)
    if not done:
        sys.exit(f'tests: no step begins with {" or ".join(arguments.steps)}')
    passed, failed = sum(s.passed for s in done), sum(s.failed for s in done)
    print(f'{time.monotonic() - started:.0f} s; logs in {folder}/')
    print(f'leat: {passed} passed, {failed} failed')
    sys.exit(1 if failed else 0)


main()
