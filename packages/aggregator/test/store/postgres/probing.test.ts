import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type ClientBase, DatabaseError } from 'pg';
import { Probing } from '../../../src/store/postgres/probing.ts';

test('an append that finds no space while a probe is under way is looked after by the next probe', async () => {
  const noSpace = Object.assign(new DatabaseError('no space is left', 0, 'error'), { code: '53100' });
  const tried: number[] = [];
  let whileProbed = (): void => {};
  const client = {
    query: async (query: { name?: string } | string, values?: number[]) => {
      if (typeof query === 'object') whileProbed();
      if (values !== undefined) tried.push(values[0]!);
      return { rows: [{ last_offset: '7' }] };
    },
    on: () => {},
    off: () => {},
  } as unknown as ClientBase;
  const pool = { connect: () => assert.fail('not used'), end: async () => {} };
  const probing = new Probing({ writers: pool, twice: (_pool, work) => work(client) });
  probing.failed(noSpace, 1000);
  whileProbed = () => probing.failed(noSpace, 2000);
  assert.equal(await probing.probe(), 7);
  whileProbed = () => {};
  await probing.probe();
  await probing.probe();
  assert.deepEqual(tried, [1000, 2000]);
});
