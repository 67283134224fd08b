#!/usr/bin/env python3
# Shows that the tests of crashes find what they are there to find: each of the bugs planted in a
# build with -DLEAT_PLANTED must make the power cuts or the kill test fail within five minutes, and
# none of them may without. tests/crash/planted.py --build build/planted [NAME…]
import argparse
import os
import subprocess
import sys
import time

BUGS = ('record_before_data', 'sync_left_out', 'offset_elsewhere', 'rejects_unsynced',
        'watermark_maximum', 'acknowledge_before_commit')
PATIENCE = 300  # seconds for each bug
STATES = '5000'
KILLS = '300'


def attempts(build):
    return (('power cuts', [f'{build}/tests/pipeline', 'crash_states'], {'LEAT_CRASH_STATES': STATES}),
            ('kills', ['python3', 'tests/crash/run.py', '--leat', f'{build}/leat', '--kills', KILLS],
             {}))


def found_by(build, bug):
    """Which test failed, or None."""
    end = time.monotonic() + PATIENCE
    for name, command, more in attempts(build):
        environment = {**os.environ, **more}
        if bug:
            environment['LEAT_PLANT'] = bug
        try:
            done = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL,
                                  capture_output=True, timeout=max(1, end - time.monotonic()))
        except subprocess.TimeoutExpired:
            return None
        if done.returncode != 0:
            return name
    return None


def main():
    parser = argparse.ArgumentParser(description='plants bugs, which the tests of crashes must find')
    parser.add_argument('--build', default='build/planted')
    parser.add_argument('bugs', nargs='*')
    arguments = parser.parse_args()
    passed = failed = 0
    for bug in arguments.bugs or (None, *BUGS):
        begin = time.monotonic()
        found = found_by(arguments.build, bug)
        good = (found is None) == (bug is None)
        passed += good
        failed += not good
        print(f'{"ok" if good else "FAILED":>6}  {bug or "(none planted)":<26} '
              f'{"found by " + found if found else "not found"}, '
              f'{time.monotonic() - begin:.1f} s', flush=True)
    print(f'{passed} passed, {failed} failed')
    sys.exit(1 if failed else 0)


main()
