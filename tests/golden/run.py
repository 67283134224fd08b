#!/usr/bin/env python3
# Runs leat on the golden cases: tests/golden/run.py [--leat build/leat] [STAGE[/NAME]…].
#
# A case is a folder tests/golden/STAGE/NAME with
#   program.leat   the program, given as text, with in.* (if any) on stdin; or
#   cmd            a shell script, run with `leat` on its PATH; both in a copy of the folder
#   out.*          what stdout must be, byte for byte
#   want.FILE      what FILE, written by the run, must be
#   err            lines, each of which stderr must contain
#   status         the exit status (0 if left out)
#   how            where the expected result comes from, when it was not worked out by hand
# A program is run once in each of VARIANTS: the result may not depend on them.
import argparse
import os
import shutil
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.abspath(__file__))
LIMIT = 120  # seconds; sanitizer builds are slow to start
VARIANTS = [
    ([], {}),
    (['-j', '1', '--io', 'posix'], {'LEAT_READ_SIZE': '3'}),
    (['-j', '7'], {'LEAT_EVAL': 'row', 'LEAT_ISA': 'portable', 'LEAT_READ_SIZE': '1'}),
]


def text_of(path, otherwise=None):
    if not os.path.exists(path):
        return otherwise
    with open(path, encoding='utf-8') as file:
        return file.read()


def bytes_of(path):
    with open(path, 'rb') as file:
        return file.read()


def case_run(case, folder, leat, variant):
    """Runs the case in `folder`, a copy of it. Returns a list of differences."""
    arguments, knobs = variant
    environment = {**os.environ, **knobs}
    environment['PATH'] = os.path.dirname(leat) + ':' + environment['PATH']
    given = next((f for f in sorted(os.listdir(folder)) if f.startswith('in.')), None)
    program = text_of(os.path.join(folder, 'program.leat'))
    if program is not None:
        command = [leat, *arguments, program.strip()]
    else:
        command = ['sh', '-eu', 'cmd']
    stdin = open(os.path.join(folder, given), 'rb') if given and program else subprocess.DEVNULL
    result = subprocess.run(command, stdin=stdin, cwd=folder, env=environment, timeout=LIMIT,
                            capture_output=True, check=False)
    if given and program:
        stdin.close()
    errors = result.stderr.decode(errors='replace')
    found = []
    status = int(text_of(os.path.join(folder, 'status'), '0'))
    if result.returncode != status:
        found.append(f'status {result.returncode}, wanted {status}')
    for name in sorted(os.listdir(case)):
        wanted = bytes_of(os.path.join(case, name))
        if name.startswith('out.') and result.stdout != wanted:
            found.append(f'stdout:\n{result.stdout.decode(errors="replace")}wanted ({name}):\n'
                         f'{wanted.decode(errors="replace")}')
        if name.startswith('want.'):
            path = os.path.join(folder, name[5:])
            seen = bytes_of(path) if os.path.exists(path) else None
            if seen != wanted:
                found.append(f'{name[5:]}: {"missing" if seen is None else seen!r}, wanted {wanted!r}')
        if name == 'err':
            found += [f'stderr has no {line!r}' for line in wanted.decode().splitlines()
                      if line not in errors]
    if found:
        found.append('stderr:\n' + errors)
    return found


def main():
    parser = argparse.ArgumentParser(description='runs the golden cases')
    parser.add_argument('--leat', default='build/leat')
    parser.add_argument('cases', nargs='*')
    arguments = parser.parse_args()
    leat = os.path.abspath(arguments.leat)
    passed = failed = 0
    for stage in sorted(os.listdir(ROOT)):
        if not os.path.isdir(os.path.join(ROOT, stage)):
            continue
        for name in sorted(os.listdir(os.path.join(ROOT, stage))):
            label = f'{stage}/{name}'
            if arguments.cases and not any(label.startswith(c) for c in arguments.cases):
                continue
            case = os.path.join(ROOT, stage, name)
            variants = VARIANTS if os.path.exists(os.path.join(case, 'program.leat')) else VARIANTS[:1]
            for variant in variants:
                with tempfile.TemporaryDirectory() as temporary:
                    folder = os.path.join(temporary, 'case')
                    shutil.copytree(case, folder)
                    try:
                        found = case_run(case, folder, leat, variant)
                    except (OSError, subprocess.TimeoutExpired) as error:
                        found = [str(error)]
                passed, failed = passed + (not found), failed + bool(found)
                if found:
                    print(f'FAILED: {label} {" ".join(variant[0])} {variant[1] or ""}')
                    print('  ' + '\n'.join(found).replace('\n', '\n  '))
    print(f'{passed} passed, {failed} failed')
    sys.exit(1 if failed or not passed else 0)


main()
