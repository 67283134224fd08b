#!/usr/bin/env python3
# Runs enrich.conf from the project's root with all that it needs, on nothing but unix sockets:
# examples/enrich/enrich.py [--build build]. Starts the demo server (the tests' own HTTP server, which
# fails one request in twenty) and a PostgreSQL in a temporary folder, makes the table that is looked
# up, runs leat, and shows the first rows. Both servers end with it. Exit status: leat's.
import argparse
import http
import os
import subprocess
import sys
import tempfile


def psql(dsn, sql):
    return subprocess.run(['psql', '-qXAt', '-F', ' | ', '-v', 'ON_ERROR_STOP=1', dsn], input=sql,
                          capture_output=True, text=True, check=True).stdout


def main():
    parser = argparse.ArgumentParser(description='the whole chain, with the servers that it needs')
    parser.add_argument('--build', default='build')
    build = os.path.abspath(parser.parse_args().build)
    with tempfile.TemporaryDirectory() as folder:
        socket = f'{folder}/demo'
        server = subprocess.Popen([f'{build}/servers/http_server', '--unix', socket],
                                  stdout=subprocess.PIPE, text=True)
        database = subprocess.Popen([f'{build}/servers/postgres'], stdin=subprocess.PIPE,
                                    stdout=subprocess.PIPE, text=True)
        try:
            server.stdout.readline()
            where = database.stdout.readline().strip()
            if not where:
                print('PostgreSQL is not installed (Debian: postgresql)', file=sys.stderr)
                return 77
            dsn = f'host={where} user=leat dbname=leat'
            psql(dsn, 'create table statuses (status bigint primary key, meaning text);' + ''.join(
                f"insert into statuses values ({s.value}, '{s.phrase.replace(chr(39), chr(39) * 2)}');"
                for s in http.HTTPStatus))
            environment = dict(os.environ, ENRICH_SOCKET=socket, ENRICH_DSN=dsn)
            status = subprocess.run([f'{build}/leat', 'run', 'examples/enrich/enrich.conf',
                                     '--report', 'enrich_report.json'], env=environment,
                                    check=False).returncode
            if status == 0:
                print(psql(dsn, 'select * from visits limit 5'), end='')
                print(psql(dsn, 'select count(*), count(place), count(meaning), '
                                'count(distinct client) from visits'), end='')
            return status
        finally:
            server.terminate()
            server.wait()
            database.stdin.close()
            database.wait()


sys.exit(main())
