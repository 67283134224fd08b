# A proxy between leat and PostgreSQL that cuts connections at chosen messages; used by postgres.py.
"""It listens on a unix socket, reads the protocol's messages in both directions, and counts events:
messages of the client that are of some kind. A cut is [event, occurrence, how]; cuts come true one
after another, the occurrences of the second being counted from the first on. How:

    unsent   the message does not reach the server, and both sides are cut off
    half     half of it does
    sent     it does, and the answer is not waited for
    lost     it does, and both sides are cut off when the server has answered
"""
import os
import select
import socket
import struct
import threading

# what a simple query of each event has in it; copies and connecting are messages of their own
QUERIES = {
    'lock': b'pg_try_advisory_lock',
    'claim': b'RETURNING epoch, number',
    'look': b'pg_attribute',
    'begin': b'BEGIN;',
    'back': b'ROLLBACK TO SAVEPOINT',
    'merge': b'ON CONFLICT (',
    'record': b"record = '\\x",
    'final': b'done = true',
    'swap': b'RENAME TO',
    'check': b'SELECT epoch, number FROM',
}


def events_of(kind, payload):
    if kind == 'startup':
        return ['connect']
    if kind == b'd':
        return ['data']
    if kind == b'c':
        return ['end']
    if kind != b'Q':
        return []
    text = payload.rstrip(b'\0')
    found = [name for name, part in QUERIES.items() if part in text]
    return found + (['commit'] if text == b'COMMIT' else [])


class Reader:
    """The messages of one direction, whole."""

    def __init__(self, starts):
        self.pending, self.starts = b'', starts

    def messages(self, data):
        self.pending += data
        while True:
            head = 0 if self.starts else 1
            if len(self.pending) < head + 4:
                return
            size = head + struct.unpack_from('!I', self.pending, head)[0]
            if len(self.pending) < size:
                return
            whole, self.pending = self.pending[:size], self.pending[size:]
            kind = 'startup' if self.starts else whole[:1]
            # 80877102: a request to cancel
            if self.starts and struct.unpack_from('!I', whole, 4)[0] == 80877102:
                kind = 'cancel'
            self.starts = False
            yield kind, whole


class Proxy:
    def __init__(self, folder, server):
        self.folder, self.server = folder, server
        self.lock = threading.Lock()
        self.cuts, self.seen, self.done = [], 0, 0
        self.counts = {}
        self.threads = []
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(f'{folder}/.s.PGSQL.5432')
        self.listener.listen(64)
        self.ended, self.ender = os.pipe()
        self.thread = threading.Thread(target=self.accept)
        self.thread.start()

    def plan(self, cuts):
        with self.lock:
            self.cuts, self.seen, self.done, self.counts = [tuple(c) for c in cuts], 0, 0, {}

    def close(self):
        os.close(self.ender)
        self.thread.join()
        for thread in self.threads:
            thread.join()
        self.listener.close()
        os.close(self.ended)

    def accept(self):
        while True:
            ready, _, _ = select.select([self.listener, self.ended], [], [])
            if self.ended in ready:
                return
            client, _ = self.listener.accept()
            thread = threading.Thread(target=self.relay, args=(client,))
            thread.start()
            self.threads = [t for t in self.threads if t.is_alive()] + [thread]

    def judge(self, kind, whole):
        """How this message is to be cut, or None."""
        with self.lock:
            for name in events_of(kind, whole[5:]):
                self.counts[name] = self.counts.get(name, 0) + 1
                if self.done == len(self.cuts) or self.cuts[self.done][0] != name:
                    continue
                self.seen += 1
                if self.seen == self.cuts[self.done][1]:
                    how = self.cuts[self.done][2]
                    self.seen, self.done = 0, self.done + 1
                    return how
        return None

    def relay(self, client):
        server = socket.socket(socket.AF_UNIX)
        try:
            server.connect(f'{self.server}/.s.PGSQL.5432')
            self.pass_on(client, server)
        except OSError:
            pass  # either side went away
        finally:
            client.close()
            server.close()

    def pass_on(self, client, server):
        asks, answers = Reader(True), Reader(False)
        swallows = False
        while True:
            ready, _, _ = select.select([client, server, self.ended], [], [])
            if self.ended in ready:
                return
            if client in ready:
                data = client.recv(1 << 16)
                if not data:
                    return
                for kind, whole in asks.messages(data):
                    how = self.judge(kind, whole)
                    if how == 'unsent':
                        return
                    server.sendall(whole[:len(whole) // 2] if how == 'half' else whole)
                    if how in ('half', 'sent'):
                        return
                    swallows |= how == 'lost'
            if server in ready:
                data = server.recv(1 << 16)
                if not data:
                    return
                if not swallows:
                    client.sendall(data)
                for kind, _ in answers.messages(data):
                    if swallows and kind in (b'Z', b'G'):
                        return
