import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { pino } from 'pino';
import { Commits } from '../../src/commits/commits.ts';
import { GroupGone } from '../../src/groups/dispatcher.ts';
import { Groups } from '../../src/groups/groups.ts';
import { PUSH_TIMING } from '../../src/groups/push-timing.ts';
import type { Epoch } from '../../src/store/event-store.ts';
import type { GroupState } from '../../src/store/group-store.ts';
import { MemoryStore } from '../../src/store/memory/store.ts';
import { SOON_MS, makeGroup, offsetsOf } from '../support/desk.ts';
import { batchOf, manyEvents } from '../support/events.ts';

const STAYS = new AbortController().signal;

async function opened(t: TestContext, store: MemoryStore): Promise<Groups> {
  const push = { allowPrivate: true, timing: PUSH_TIMING, attempted: () => {} };
  const parts = { store, commits: new Commits(store, 0), push, log: pino({ level: 'silent' }) };
  const groups = await Groups.open(parts);
  t.after(() => groups.close());
  return groups;
}

test('a group that was made again elsewhere, of which no news came, is pulled from with the next event', async (t) => {
  const store = new MemoryStore();
  store.groups.watch = () => () => {};
  const groups = await opened(t, store);
  let published = 0;
  const publish = () => store.append([batchOf(...manyEvents(1, () => ({ event_id: `e-${published++}` })))]);
  await publish();
  const first = await makeGroup(store);
  const pulled = async () => {
    const group = await groups.find('w');
    assert.ok(group !== undefined);
    return offsetsOf(await groups.pull(group, 1, SOON_MS, STAYS));
  };
  assert.deepEqual(await pulled(), [1]);

  await store.groups.apply([['remove', first.id]]);
  await makeGroup(store);
  await publish();
  assert.deepEqual(await pulled(), [1]);

  const [again] = await store.groups.apply([['find', 'w']]);
  await store.groups.apply([['remove', again!.id]]);
  await publish();
  await assert.rejects(pulled(), GroupGone);
  assert.equal(await groups.find('w'), undefined, 'it is not remembered');
});

test('a group that was being looked up when an epoch began is looked up again [EPO-3]', async (t) => {
  const store = new MemoryStore();
  store.groups.watch = () => () => {};
  let begin = (): void => {};
  store.watchEpochs = (listener: (epoch: Epoch) => void = () => {}) => {
    begin = () => listener({ name: 'new', afterOffset: 0 });
    return () => {};
  };
  const groups = await opened(t, store);
  const first = await makeGroup(store);
  const apply = store.groups.apply.bind(store.groups);
  let again: GroupState | undefined;
  store.groups.apply = async (steps) => {
    const outcomes = await apply(steps);
    store.groups.apply = apply;
    // As in the life of the log that begins now: there it has another secret.
    await apply([['remove', first.id]]);
    again = await makeGroup(store);
    begin();
    return outcomes;
  };
  const found = await groups.find('w');
  assert.deepEqual(found?.secret, again!.secret);
  assert.equal(found?.id, again!.id);
});
