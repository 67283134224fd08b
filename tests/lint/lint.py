#!/usr/bin/env python3
# Reads the whole tree and holds it to the project's rules: which folder may include which, calls
# that are banned, sizes, first comments, header guards, documented headers, golden cases, layout.
# Run from the project's root: tests/lint/lint.py [RULE…]; each rule is one test. Needs python3 and
# clang-format, nothing else. Every finding is one line, "file:line: what and what instead".
import os
import re
import statistics
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

LAYERS = ['core', 'lang', 'formats', 'clients', 'io', 'stages', 'pipeline', 'cli']
# What a folder may include besides itself: never upward, never sideways.
MAY_INCLUDE = {
    'core': set(),
    'lang': {'core'},
    'formats': {'core'},
    'clients': {'core'},
    'io': {'core', 'lang', 'formats', 'clients'},
    'stages': {'core', 'lang', 'formats', 'clients'},
    'pipeline': {'core', 'lang', 'formats', 'clients', 'io', 'stages'},
    'cli': {'core', 'lang', 'formats', 'clients', 'io', 'stages', 'pipeline'},
}
FILE_LINES, FILE_LINES_WANTED = 800, 600
FUNCTION_LINES, FUNCTION_LINES_WANTED = 100, 60

# (names, where they are allowed, what to do instead). A folder ends with "/".
BANNED = [
    ('malloc calloc realloc reallocarray strdup strndup asprintf vasprintf aligned_alloc',
     ['core/fault.c', 'tests/', 'bench/'], 'use memory_take and friends (core/fault.h)'),
    ('exit _exit _Exit quick_exit', ['cli/', 'tests/', 'bench/'], 'return an error; only cli/ exits'),
    ('abort', ['core/base.c', 'tests/', 'bench/'], 'use CHECK() for bugs, an error for the rest'),
    ('strcpy stpcpy strcat strncat sprintf vsprintf gets', [],
     'use snprintf or a buffer that knows its size'),
    ('strtok strtok_r', [], 'walk the text by hand'),
    ('atoi atol atoll atof strtod strtof strtold', ['tests/', 'bench/'],
     'use core/number.h: exact and without a locale'),
    ('system popen', ['tests/'], 'no shells in the product'),
    ('sleep usleep nanosleep clock_nanosleep', [], 'wait for an event with a timeout'),
    ('localtime localtime_r gmtime gmtime_r mktime timegm strftime setlocale', ['tests/'],
     'use core/calendar.h or lang/time.h: no TZ, no locale'),
]


class Source:
    """One file: its text, its lines, and for C a copy with comments and strings blanked out."""

    def __init__(self, path):
        self.path = path
        with open(path, encoding='utf-8', errors='replace') as file:
            self.text = file.read()
        self.lines = self.text.split('\n')
        self.is_c = path.endswith(('.c', '.h', '.def'))
        self.folder = path.split('/')[0]
        self.code = blank(self.text) if self.is_c else ''

    def line_of(self, offset):
        return self.text.count('\n', 0, offset) + 1


TOKEN = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)


def blank(text):
    """Comments and literals as spaces; every line and column stays where it is."""
    return TOKEN.sub(lambda match: re.sub(r'[^\n]', ' ', match.group()), text)


def sources_read():
    found = []
    wanted = ('.c', '.h', '.def', '.py', '.sh', '.md', '.conf', '.leat', '.1')
    for folder, folders, files in os.walk('.'):
        folders[:] = sorted(f for f in folders if f not in ('build', '.git', 'corpus', 'data'))
        for name in sorted(files):
            if name.endswith(wanted) or name in ('Makefile', 'run'):
                found.append(Source(os.path.join(folder, name)[2:]))
    return found


def functions_of(source):
    """(name, first line, lines) of each function; the layout puts its braces in column 0."""
    begin = None
    lines = source.code.split('\n')
    for number, line in enumerate(lines, 1):
        if line.rstrip() == '{':
            begin = number
        elif line.rstrip() == '}' and begin:
            head = ' '.join(lines[max(0, begin - 6):begin - 1])
            names = re.findall(r'(\w+)\s*\(', re.split(r'[;}]', head)[-1])
            names = [name for name in names if name != '__attribute__']
            yield (names[0] if names else '?', begin, number - begin + 1)
            begin = None


def rule_layers(sources):
    """an #include never points upward or sideways"""
    for source in sources:
        allowed = MAY_INCLUDE.get(source.folder)
        if not source.is_c or allowed is None:
            continue
        for match in re.finditer(r'^\s*#\s*include\s+"([^"]+)"', source.text, re.M):
            folder = match.group(1).split('/')[0]
            where = f'{source.path}:{source.line_of(match.start())}'
            if '/' not in match.group(1):
                yield f'{where}: include "{match.group(1)}" by its path from the root'
            elif folder != source.folder and folder not in allowed:
                yield f'{where}: {source.folder}/ must not know {match.group(1)}'


def rule_banned_calls(sources):
    """no call that is banned"""
    for source in sources:
        if not source.path.endswith(('.c', '.h')):
            continue
        for names, places, remedy in BANNED:
            if any(source.path.startswith(place) for place in places):
                continue
            pattern = r'(?<![\w.>])(' + '|'.join(names.split()) + r')\s*\('
            for match in re.finditer(pattern, source.code):
                yield f'{source.path}:{source.line_of(match.start())}: {match.group(1)}: {remedy}'


def rule_file_size(sources):
    """no file above the limit of lines"""
    for source in sources:
        if source.path.endswith(('.c', '.h', '.py')) and len(source.lines) > FILE_LINES:
            yield f'{source.path}:1: {len(source.lines)} lines, at most {FILE_LINES}: split by meaning'


def rule_function_size(sources):
    """no function above the limit of lines"""
    for source in sources:
        if source.path.endswith(('.c', '.h')):
            for name, line, length in functions_of(source):
                if length > FUNCTION_LINES:
                    yield f'{source.path}:{line}: {name}: {length} lines, at most {FUNCTION_LINES}'


def rule_first_comment(sources):
    """each file begins with a comment that says what it is"""
    for source in sources:
        if source.is_c and not source.text.startswith(('/*', '//')):
            yield f'{source.path}:1: begin with a comment: what it does, owns, which threads call it'
        if source.path.endswith(('.py', '.sh')) or source.path == 'Makefile':
            lines = [line for line in source.lines[:3] if not line.startswith('#!')]
            if not lines[0].startswith('#'):
                yield f'{source.path}:1: begin with a comment: what it does and how to run it'


def rule_header_guards(sources):
    """each header is guarded by LEAT_, its path and _H"""
    for source in sources:
        if not source.path.endswith('.h') or source.path.endswith('.inc.h'):
            continue
        guard = 'LEAT_' + re.sub(r'\W', '_', source.path[:-2]).upper() + '_H'
        if f'#ifndef {guard}\n#define {guard}\n' not in source.text:
            yield f'{source.path}:1: guard it with {guard}'


PROTOTYPE = re.compile(r'^(?!_Static_assert|typedef)[a-zA-Z_][\w\s*]*?(\w+)\([^;{}]*\)[^;{}]*;', re.M)


def rule_documented_headers(sources):
    """functions of public headers are documented; the first comment speaks for one or two"""
    for source in sources:
        if source.folder not in LAYERS or not source.path.endswith('.h'):
            continue
        if len(PROTOTYPE.findall(source.code)) <= 2:
            continue
        offset = 0
        for paragraph in re.split(r'(\n\s*\n)', source.text):
            match = PROTOTYPE.search(paragraph)
            if match and not re.search(r'/\*|//', paragraph):
                line = source.line_of(offset + match.start())
                yield f'{source.path}:{line}: say what {match.group(1)} does (units, ownership, errors)'
            offset += len(paragraph)


def rule_no_leftovers(sources):
    """nothing is left for later in comments"""
    pattern = re.compile(r'\b(TO' + r'DO|FIX' + r'ME|XX' + r'X|HA' + r'CK)\b')
    for source in sources:
        for match in pattern.finditer(source.text):
            yield f'{source.path}:{source.line_of(match.start())}: {match.group()}: do it or open an issue'


def rule_no_machine_paths(sources):
    """no path of somebody's machine"""
    pattern = re.compile(r'(?<![\w.}*])/(?:work|root|home)/\w|/tmp/(?:bash_jobs|brief)')
    for source in sources:
        for match in pattern.finditer(source.text):
            yield f'{source.path}:{source.line_of(match.start())}: {match.group()}: a path of one machine'


def rule_no_trailing_space(sources):
    """no trailing white space, no tab in C, an LF at the end"""
    for source in sources:
        for number, line in enumerate(source.lines, 1):
            if line != line.rstrip() and not source.path.endswith('.md'):
                yield f'{source.path}:{number}: trailing white space'
            if source.is_c and '\t' in line:
                yield f'{source.path}:{number}: a tab; use four spaces'
        if source.text and not source.text.endswith('\n'):
            yield f'{source.path}:{len(source.lines)}: the last line has no end'


def rule_golden_cases(sources):
    """each stage has a golden case"""
    table = next((s for s in sources if s.path == 'stages/stages.def'), None)
    for match in re.finditer(r'^STAGE\((\w+)', table.text if table else '', re.M):
        folder = f'tests/golden/{match.group(1)}'
        if not os.path.isdir(folder) or not os.listdir(folder):
            yield f'stages/stages.def:{table.line_of(match.start())}: no case in {folder}/'


def rule_format(sources):
    """clang-format changes nothing"""
    paths = [s.path for s in sources if s.path.endswith(('.c', '.h'))]
    chunks = [paths[i::8] for i in range(8) if paths[i::8]]

    def check(chunk):
        command = ['clang-format', '--dry-run', '-Werror', '--ferror-limit=1', *chunk]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    try:
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            results = list(pool.map(check, chunks))
    except FileNotFoundError:
        yield 'clang-format:1: not installed: apt-get install clang-format'
        return
    for result in results:
        seen = set()
        for match in re.finditer(r'^(\S+?):(\d+):\d+: error', result.stderr, re.M):
            if match.group(1) not in seen:
                seen.add(match.group(1))
                yield f'{match.group(1)}:{match.group(2)}: layout: run clang-format -i {match.group(1)}'
        if result.returncode and not seen:
            yield f'clang-format:1: {result.stderr.strip()[:300]}'


def figures_print(sources):
    """Sizes to aim for (DESIGN, section 11): printed, not judged."""
    product = [s for s in sources if s.folder in LAYERS and s.path.endswith(('.c', '.h'))]
    if not product:
        return
    functions = [(length, name, s.path, line) for s in product for name, line, length in functions_of(s)]
    files = sorted((len(s.lines), s.path) for s in product)
    lines = sum(length for length, _ in files)
    comment = sum(len(m.group().split('\n')) for s in product for m in re.finditer(r'/\*.*?\*/', s.text, re.S))
    checks = sum(len(re.findall(r'\b(?:CHECK|_Static_assert)\s*\(', s.code)) for s in product)
    lengths = sorted(length for length, *_ in functions) or [0]
    print(f'lint: {len(files)} files, {lines} lines, {100 * comment // lines} % comments, '
          f'{1000 * checks / lines:.0f} checks per 1,000 lines; file median '
          f'{statistics.median(length for length, _ in files):.0f} lines; {len(functions)} functions, '
          f'median {statistics.median(lengths):.0f} lines, 90th percentile '
          f'{lengths[min(len(lengths) - 1, len(lengths) * 9 // 10)]}')
    for length, path in reversed(files):
        if length > FILE_LINES_WANTED:
            print(f'lint: long file: {path}: {length} lines')
    for length, name, path, line in sorted(functions, reverse=True):
        if length > FUNCTION_LINES_WANTED:
            print(f'lint: long function: {path}:{line}: {name}: {length} lines')


def main():
    rules = {name[5:]: rule for name, rule in globals().items() if name.startswith('rule_')}
    unknown = [name for name in sys.argv[1:] if name not in rules]
    if unknown:
        sys.exit(f'lint: no rule {unknown[0]}; there are: {" ".join(rules)}')
    sources = sources_read()
    failed = 0
    wanted = sys.argv[1:] or list(rules)
    for name in wanted:
        findings = list(rules[name](sources))
        failed += bool(findings)
        if findings:
            print(f'lint: FAILED {name}: {rules[name].__doc__}')
        for finding in findings:
            print(f'  {finding}')
    figures_print(sources)
    print(f'{len(wanted) - failed} passed, {failed} failed')
    sys.exit(1 if failed else 0)


main()
