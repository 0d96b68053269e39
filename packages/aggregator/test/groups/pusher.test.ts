import assert from 'node:assert/strict';
import { test } from 'node:test';
import { pino } from 'pino';
import { Commits } from '../../src/commits/commits.ts';
import { Dispatcher } from '../../src/groups/dispatcher.ts';
import { PUSH_TIMING } from '../../src/groups/push-timing.ts';
import { PUSHED_AT_ONCE, Pusher } from '../../src/groups/pusher.ts';
import { SharedSteps } from '../../src/groups/shared-steps.ts';
import { MemoryStore } from '../../src/store/memory/store.ts';
import { WebhookSender } from '../../src/webhooks/sender.ts';
import { batchOf, eventWith } from '../support/events.ts';

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
        push: { url: 'http://127.0.0.1/', secrets: [`whsec_${Buffer.alloc(32).toString('base64')}`] },
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
  const pusher = new Pusher({ dispatcher, steps, timing: PUSH_TIMING, sender, log }, state);
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
