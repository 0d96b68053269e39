import assert from 'node:assert/strict';
import { test } from 'node:test';
import { StandbyError, remedyFor } from '../../../src/store/postgres/errors.ts';
import { Hosts } from '../../../src/store/postgres/hosts.ts';
import { PostgresStore } from '../../../src/store/postgres/store.ts';
import { batchOf, eventWith } from '../../support/events.ts';
import { newLog } from '../../support/postgres-server.ts';

const STANDBY = new StandbyError('a standby');

function hostsOf(...names: string[]): Hosts {
  return new Hosts(
    names.map((name) => ({ name, connectionString: `postgres://${name}/d` })),
    {},
    5000,
  );
}

/** Fails everywhere but at one host; returns the hosts that were tried. */
async function triedOf(hosts: Hosts, primary: string): Promise<string[]> {
  const tried: string[] = [];
  await hosts
    .reach(async () => {
      const client = new hosts.Client();
      tried.push(client.host);
      if (client.host === primary) return hosts.served(client);
      hosts.failed(client, STANDBY);
      throw STANDBY;
    })
    .catch(() => tried.push('none'));
  return tried;
}

test('the host that served last is tried first, and each of the others once', async () => {
  const hosts = hostsOf('a', 'b', 'c');
  assert.deepEqual(await triedOf(hosts, 'b'), ['a', 'b']);
  assert.deepEqual(await triedOf(hosts, 'b'), ['b']);
  assert.deepEqual(await triedOf(hosts, 'a'), ['b', 'c', 'a']);
  assert.deepEqual(await triedOf(hosts, 'x'), ['a', 'b', 'c', 'none']);
});

test('connections that fail at a host at the same time all go on to the next one, and a late one leaves that as it is', () => {
  const hosts = hostsOf('a', 'b', 'c');
  const [late, ...clients] = [new hosts.Client(), new hosts.Client(), new hosts.Client()];
  for (const client of clients) hosts.failed(client, STANDBY);
  assert.equal(new hosts.Client().host, 'b');
  hosts.served(new hosts.Client());
  hosts.failed(new hosts.Client(), STANDBY);
  assert.equal(new hosts.Client().host, 'c');
  hosts.failed(late, STANDBY);
  assert.equal(new hosts.Client().host, 'c');
});

test('of several hosts that failed each is named with its reason, and connecting may be tried again', async () => {
  const hosts = hostsOf('a', 'b');
  let tries = 0;
  const connecting = hosts.reach(() => {
    const error = new Error(`reason ${++tries}`);
    hosts.failed(new hosts.Client(), error);
    return Promise.reject(error);
  });
  await assert.rejects(connecting, (error: Error) => {
    assert.equal(error.message, 'a: reason 1; b: reason 2');
    assert.equal(remedyFor(error), 'reconnect');
    return true;
  });
});

test('an instance serves from the second host where the first cannot be reached', async (t) => {
  const log = new URL(await newLog());
  log.searchParams.set('host', `/no/such/folder,${log.searchParams.get('host')}`);
  const store = await PostgresStore.open(log.href, undefined, { allowsLoss: true });
  t.after(() => store.close());
  const [result] = await store.append([batchOf(eventWith())]);
  assert.equal(result!.accepted, 1);
});
