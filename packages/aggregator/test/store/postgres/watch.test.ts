import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Watch } from '../../../src/store/postgres/watch.ts';
import { until } from '../../support/until.ts';

test('the end of the log is looked at all the time while it is tried to hear of commits, however long that takes', async (t) => {
  let [tries, lastOffset] = [0, 0];
  const told: number[] = [];
  const hearing = {
    isHearing: false,
    on: () => {},
    // As where the server has no connection free for it.
    listen: () => (tries++ === 0 ? Promise.resolve(false) : new Promise<boolean>(() => {})),
  };
  const watch = new Watch({
    hearing,
    channel: 'commits',
    end: { look: async () => ++lastOffset, reach: async () => {} },
    epochId: () => 1,
    told: (offset) => void told.push(offset),
  });
  await watch.open();
  t.after(() => watch.close());
  await until(
    () => `told of ${told.join()}`,
    () => told.length >= 4,
  );
  assert.deepEqual(told, [1, 2, 3, 4]);
  assert.equal(tries, 2);
});
