import { ChronicleWeaver, ChronicleWeaverError, ProblemError } from '@chronicleweaver/client';
import { type PostgresClient, type SqliteDatabase, inbox } from '@chronicleweaver/client/inbox';

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

  await exerciseInbox(chronicle);

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

/** The inbox, on something like a pool of PostgreSQL, and on SQLite where the runtime has it. */
async function exerciseInbox(chronicle: ChronicleWeaver): Promise<void> {
  await chronicle.groups.create('bookers', { topics: ['orders'], start: 'earliest' });
  const again = async (run: (stop: AbortController) => Promise<void>): Promise<void> => {
    for (const _ of ['first', 'again']) {
      await chronicle.groups.seek('bookers', { offset: 'earliest' });
      const stop = new AbortController();
      const running = run(stop);
      while ((await chronicle.groups.get('bookers')).lag > 0)
        await new Promise((done) => setTimeout(done, 20));
      stop.abort();
      await running;
    }
  };

  const notes = new Map<string, number>();
  const client: PostgresClient & { booked: string[] } = {
    booked: [],
    query: async (text, values = []) => {
      const id = String(values[2]);
      if (text.startsWith('INSERT')) notes.set(id, (notes.get(id) ?? -1) + 1);
      return {
        rows: [{ repeats: notes.get(id) ?? 0 }].slice(text.startsWith('SELECT') ? 1 : 0),
        command: text,
      };
    },
    on: () => {},
    off: () => {},
    release: () => {},
  };
  const pool = { connect: async () => client };
  await again((stop) =>
    inbox(chronicle, pool, 'bookers', (event) => client.booked.push(event.event_id), { signal: stop.signal }),
  );
  expect(client.booked.join() === 'order-1' && notes.get('order-1') === 1, 'an event is booked once');

  const database = await sqlite();
  if (database === undefined) return;
  database.exec('CREATE TABLE booked (event_id TEXT)');
  await again((stop) =>
    inbox(
      chronicle,
      database,
      'bookers',
      (event, tx) => {
        tx.prepare('INSERT INTO booked VALUES (?) RETURNING event_id').get(event.event_id);
      },
      { signal: stop.signal },
    ),
  );
  expect(database.prepare('SELECT * FROM booked').all().length === 1, 'an event is booked once in SQLite');
  const refused = await inbox(chronicle, database, 'bookers', () => {}, { table: 'booked' }).then(
    () => undefined,
    (error: unknown) => error,
  );
  expect(refused instanceof ChronicleWeaverError, "the inbox throws the client's own errors");
}

/** A database of whatever SQLite the runtime has: Node.js 20 has none. */
async function sqlite(): Promise<SqliteDatabase | undefined> {
  for (const [module, name] of [
    ['node:sqlite', 'DatabaseSync'],
    ['bun:sqlite', 'Database'],
  ] as const) {
    const found = (await import(module).catch(() => ({}))) as Record<
      string,
      new (path: string) => SqliteDatabase
    >;
    if (found[name] !== undefined) return new found[name](':memory:');
  }
  return undefined;
}

function expect(holds: boolean, what: string): void {
  if (!holds) throw new Error(`not so: ${what}`);
}
