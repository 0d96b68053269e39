import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, type Socket, createServer } from 'node:net';
import { test } from 'node:test';
import { Client } from 'pg';
import { isPassing } from '../../../src/store/postgres/errors.ts';

test('a server that does not answer in time, as when many instances start at once, is asked again', async (t) => {
  const sockets: Socket[] = [];
  const silent = createServer((socket) => sockets.push(socket)).listen(0, '127.0.0.1');
  await once(silent, 'listening');
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    silent.close();
  });
  const { port } = silent.address() as AddressInfo;
  const client = new Client({ host: '127.0.0.1', port, user: 'nobody', connectionTimeoutMillis: 20 });
  client.on('error', () => {});
  await assert.rejects(client.connect(), isPassing);
});
