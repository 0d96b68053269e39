import assert from 'node:assert/strict';
import { test } from 'node:test';
import { pino } from 'pino';
import { Commits } from '../../src/commits/commits.ts';
import { Dispatcher } from '../../src/groups/dispatcher.ts';
import { PUSH_TIMING, type PushTiming } from '../../src/groups/push-timing.ts';
import { PUSHED_AT_ONCE, Pusher } from '../../src/groups/pusher.ts';
import { SharedSteps } from '../../src/groups/shared-steps.ts';
import { MemoryStore } from '../../src/store/memory/store.ts';
import { WebhookSender } from '../../src/webhooks/sender.ts';
import { makeGroup } from '../support/desk.ts';
import { batchOf, eventWith, manyEvents } from '../support/events.ts';
import { until } from '../support/until.ts';

const TARGET = { url: 'http://127.0.0.1/', secrets: [`whsec_${Buffer.alloc(32).toString('base64')}`] };

test('a message cut off by a stop is no delivery, and its event is available at once, not when a lease ends [HOOK-6]', async () => {
  const store = new MemoryStore();
  await store.append([batchOf(eventWith())]);
  const [created] = await store.groups.apply([
    [
      'create',
      {
        name: 'hook',
        topics: ['>'],
        start: 'earliest',
        leaseMs: 60_000,
        deliveriesMax: 1,
        push: TARGET,
      },
    ],
  ]);
  assert.ok(created.kind === 'created');
  const { state } = created;
  const steps = new SharedSteps(store.groups);
  const dispatcher = new Dispatcher({ store, commits: new Commits(store, 0), steps }, state, PUSHED_AT_ONCE);
  const sender = new WebhookSender({ allowPrivate: true, timeoutMs: 60_000 });
  let began = (): void => {};
  const sending = new Promise<void>((resolve) => (began = resolve));
  // A target that never answers.
  sender.send = async (_target, _message, signal) => {
    began();
    await new Promise((resolve) => signal.addEventListener('abort', resolve));
    return { fault: 'cut' };
  };
  const log = pino({ level: 'silent' });
  const pusher = new Pusher(
    { dispatcher, steps, timing: PUSH_TIMING, sender, attempted: () => {}, log },
    state,
  );
  await sending;
  await pusher.close();
  await dispatcher.close();

  const [after] = await store.groups.apply([['state', state.id]]);
  const { leased, returned, deliveries, dead, push } = after!;
  assert.deepEqual(
    { leased, returned, deliveries, dead },
    { leased: 0, returned: 1, deliveries: 0, dead: 0 },
  );
  assert.equal(push?.lastFailure, null, 'the target has not failed');
});

test('an event that expires between two attempts to send it is not sent again, and the next one is [RET-31]', async () => {
  const store = new MemoryStore();
  await store.append([batchOf(...manyEvents(2))]);
  const state = await makeGroup(store, { push: TARGET });
  const steps = new SharedSteps(store.groups);
  const dispatcher = new Dispatcher({ store, commits: new Commits(store, 0), steps }, state, PUSHED_AT_ONCE);
  store.retention.watch((expiry) => dispatcher.expired(expiry));
  store.groups.watch((news) => {
    if (news.kind === 'moved') dispatcher.moved(news.hasRoom, news.dueInMs);
  });
  const sender = new WebhookSender({ allowPrivate: true, timeoutMs: 60_000 });
  const sent: number[] = [];
  let finish = (): void => {};
  const finished = new Promise<void>((resolve) => (finish = resolve));
  sender.send = async (_target, { body }) => {
    const { offset } = JSON.parse(Buffer.from(body).toString()) as { offset: number };
    sent.push(offset);
    if (offset === 2) finish();
    else await store.retention.erase(eventWith().topic, 'e-1', false);
    return { status: offset === 2 ? 204 : 500, retryAfter: undefined };
  };
  const timing: PushTiming = { ...PUSH_TIMING, retryMs: [1] };
  const log = pino({ level: 'silent' });
  const pusher = new Pusher({ dispatcher, steps, timing, sender, attempted: () => {}, log }, state);
  await finished;
  await until(() => 'the second event', async () => (await steps.do('state', state.id))!.acknowledged === 1); // prettier-ignore
  await pusher.close();
  await dispatcher.close();
  assert.deepEqual(sent, [1, 2]);
  const { cursor, expired, dead } = (await steps.do('state', state.id))!;
  assert.deepEqual({ cursor, expired, dead }, { cursor: 2, expired: 1, dead: 0 });
});
