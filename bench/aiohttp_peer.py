#!/usr/bin/env python3
# The textbook way to enrich records with asyncio and aiohttp: NDJSON in, one request for each record
# (connection limit 100, semaphore 100), batches of rows into SQLite. aiohttp_peer.py INPUT BASE DB:
# asks BASE/ID for each record's id and stores (id, value of the answer).
import asyncio
import json
import sqlite3
import sys

import aiohttp

LIMIT, BATCH = 100, 1000


async def enrich(session, semaphore, base, record):
    async with semaphore:
        async with session.get(f'{base}/{record["id"]}') as response:
            response.raise_for_status()
            answer = await response.json()
            return record['id'], answer['value']


async def main(path, base, target):
    database = sqlite3.connect(target)
    database.execute('PRAGMA journal_mode = WAL')
    database.execute('CREATE TABLE enriched (id INTEGER, value INTEGER)')
    semaphore = asyncio.Semaphore(LIMIT)
    connector = aiohttp.TCPConnector(limit=LIMIT)
    async with aiohttp.ClientSession(connector=connector) as session:
        with open(path, encoding='utf-8') as file:
            pending, rows = set(), []
            for line in file:
                pending.add(asyncio.create_task(enrich(session, semaphore, base, json.loads(line))))
                if len(pending) >= 2 * LIMIT:
                    done, pending = await asyncio.wait(pending,
                                                       return_when=asyncio.FIRST_COMPLETED)
                    rows += [task.result() for task in done]
                if len(rows) >= BATCH:
                    database.executemany('INSERT INTO enriched VALUES (?, ?)', rows)
                    database.commit()
                    rows = []
            rows += await asyncio.gather(*pending)
            database.executemany('INSERT INTO enriched VALUES (?, ?)', rows)
            database.commit()
    database.close()


asyncio.run(main(*sys.argv[1:4]))
