import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ClientBase } from 'pg';
import { LogEnd } from '../../../src/store/postgres/log-end.ts';

test('an end that was on its way when the log went back is not taken for that of the log now [EPO-4]', async () => {
  let epoch = 1;
  const told: [number, number][] = [];
  const rows = [
    { last_offset: '9', epoch_id: 1, awaits_standby: false, expiries: '7' },
    { last_offset: '4', epoch_id: 2, awaits_standby: false, expiries: '3' },
  ];
  let looks = 0;
  const client = {
    query: async () => {
      const row = rows[Math.min(looks++, 1)]!;
      // Another session has begun in the new life before this answer came.
      if (looks === 1) {
        epoch = 2;
        end.fall(4);
      }
      return { rows: [row] };
    },
  } as unknown as ClientBase;
  const end: LogEnd = new LogEnd(
    { read: (work) => work(client) },
    async () => 4,
    async (epochId) => epochId < epoch,
    (expiries, lastOffset) => void told.push([expiries, lastOffset]),
  );
  assert.equal(await end.look(), 4);
  assert.deepEqual(told, [[3, 4]]);
  await end.reach(9);
  assert.ok(looks > 2, 'an end that was lost is confirmed no more');
});
