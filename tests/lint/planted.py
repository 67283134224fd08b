#!/usr/bin/env python3
# Proves that each rule of lint.py can fail: lays a small tree with one planted fault for each rule
# and expects exactly that rule to find it; a clean tree must pass. Run from the project's root.
import os
import subprocess
import sys
import tempfile

LINT = os.path.abspath('tests/lint/lint.py')
CLEAN = {
    'core/good.h': '/* A good header. */\n#ifndef LEAT_CORE_GOOD_H\n#define LEAT_CORE_GOOD_H\n\n'
                   '/* Adds; any thread. */\nint good_add(int a, int b);\n\n#endif\n',
    'core/good.c': '/* See good.h. */\n#include "core/good.h"\n\nint good_add(int a, int b)\n{\n'
                   '    return a + b; /* malloc(3) in a comment is no call */\n}\n',
    'stages/stages.def': '/* STAGE(name) */\nSTAGE(where)\n',
    'tests/golden/where/one/program.leat': 'where a\n',
}
HEAD = '/* A file. */\n'
LONG = HEAD + '\nint f(void)\n{\n' + '    f();\n' * 120 + '    return 0;\n}\n'
PLANTED = {
    'layers': {'io/bad.c': HEAD + '#include "stages/where.h"\n'},
    'banned_calls': {'io/bad.c': HEAD + 'void *f(void)\n{\n    return malloc(3);\n}\n'},
    'file_size': {'io/bad.c': HEAD + 'int a;\n' * 900},
    'function_size': {'io/bad.c': LONG},
    'first_comment': {'io/bad.c': 'int a;\n'},
    'header_guards': {'io/bad.h': HEAD + '#ifndef BAD_H\n#define BAD_H\n#endif\n'},
    'documented_headers': {'io/bad.h': HEAD + '#ifndef LEAT_IO_BAD_H\n#define LEAT_IO_BAD_H\n\n'
                                              'int bad(int a);\nint worse(int a);\nint worst(int a);\n\n#endif\n'},
    'no_leftovers': {'io/bad.c': HEAD + '/* TO' + 'DO: later */\n'},
    'no_machine_paths': {'io/bad.c': HEAD + 'const char *path = "/ro' + 'ot/leat";\n'},
    'no_trailing_space': {'io/bad.c': HEAD + 'int a; \n'},
    'golden_cases': {'stages/stages.def': HEAD + 'STAGE(where)\nSTAGE(missing)\n'},
    'format': {'io/bad.c': HEAD + 'int   a;\n'},
}


def lint(files, rules):
    with tempfile.TemporaryDirectory() as folder:
        for path, text in files.items():
            full = os.path.join(folder, path)
            os.makedirs(os.path.dirname(full), exist_ok=True)
            with open(full, 'w', encoding='utf-8') as file:
                file.write(text)
        with open('.clang-format', encoding='utf-8') as file, \
                open(os.path.join(folder, '.clang-format'), 'w', encoding='utf-8') as copy:
            copy.write(file.read())
        return subprocess.run([sys.executable, LINT, *rules], cwd=folder, capture_output=True,
                              text=True, check=False)


def main():
    failed = 0
    clean = lint(CLEAN, [])
    if clean.returncode != 0:
        failed += 1
        print(f'FAILED: a clean tree is refused:\n{clean.stdout}{clean.stderr}')
    for rule, files in PLANTED.items():
        result = lint({**CLEAN, **files}, [rule])
        if result.returncode != 1 or f'FAILED {rule}' not in result.stdout:
            failed += 1
            print(f'FAILED: {rule} misses what was planted:\n{result.stdout}{result.stderr}')
    print(f'{len(PLANTED) + 1 - failed} passed, {failed} failed')
    sys.exit(1 if failed else 0)


main()
