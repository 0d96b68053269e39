import { ChronicleWeaver, ProblemError } from '@chronicleweaver/client';

/**
 * What the client must do on every runtime, written with only what all of them have. Throws if something is
 * not as expected.
 */
export async function exercise(url: string): Promise<string> {
  await using chronicle = new ChronicleWeaver({ url, source: 'exercise' });

  const results = await Promise.all(
    Array.from({ length: 1000 }, (_, n) =>
      chronicle.publish({ topic: 'numbers', payload: { n, text: 'é🚚' } }),
    ),
  );
  expect(
    results.every(({ verdict }) => verdict === 'accepted'),
    'each event is accepted',
  );
  expect(new Set(results.map(({ event_id }) => event_id)).size === 1000, 'each id is unique');

  const [good, bad] = await Promise.allSettled([
    chronicle.publish({ topic: 'orders', event_id: 'order-1', payload: {}, timestamp: new Date(0) }),
    chronicle.publish({ topic: '', payload: {} }),
  ]);
  expect(good.status === 'fulfilled' && good.value.offset === 1001, 'the valid one is stored');
  expect(
    bad.status === 'rejected' &&
      bad.reason instanceof ProblemError &&
      bad.reason.errors[0]?.field === 'topic',
    'the invalid one is refused alone',
  );

  let next = 0;
  for await (const { payload } of chronicle.read({ topic: 'numbers' })) {
    expect(payload['n'] === next++ && payload['text'] === 'é🚚', `event ${next} is returned unchanged`);
  }
  expect(next === 1000, 'all events are returned');
  const found = await chronicle.find('orders', 'order-1');
  expect(found?.timestamp === '1970-01-01T00:00:00.000Z', 'an event is found by its id');
  expect((await chronicle.find('orders', 'order-2')) === undefined, 'a missing event is not found');
  expect((await chronicle.topics()).length === 2, 'there are two topics');
  expect((await chronicle.stats()).received === 1001, 'the books count all of them');

  const followed: unknown[] = [];
  for await (const { payload } of chronicle.subscribe({ topics: ['num*', 'numbers'], after: 'earliest' })) {
    if (followed.push(payload['n']) === 1000) break;
  }
  expect(
    followed.every((n, i) => n === i),
    'a subscriber gets all of them in order',
  );

  await chronicle.groups.create('workers', { topics: ['numbers'], start: 'earliest' });
  const stop = new AbortController();
  let handled = 0;
  await chronicle.consume(
    'workers',
    () => {
      if (++handled === 1000) stop.abort();
    },
    { concurrency: 100, signal: stop.signal },
  );
  const { acknowledged, lag } = await chronicle.groups.get('workers');
  expect(acknowledged === 1000 && lag === 0, 'a worker acknowledges all of them');

  const reason = new Error('enough');
  const ended = await chronicle
    .publish({ topic: 'orders', payload: {} }, { signal: AbortSignal.abort(reason) })
    .then(
      () => undefined,
      (error: unknown) => error,
    );
  expect(ended === reason, 'a signal ends a call with its reason');
  return 'all as it should be';
}

function expect(holds: boolean, what: string): void {
  if (!holds) throw new Error(`not so: ${what}`);
}
