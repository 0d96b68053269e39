import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { ACCEPTED, DUPLICATE } from '../../../src/store/event-store.ts';
import { PostgresStore } from '../../../src/store/postgres/store.ts';
import { batchOf, eventWith } from '../../support/events.ts';
import { policyWith } from '../../support/letting-go.ts';
import { beginReaders, beside, newLog } from '../../support/postgres-server.ts';
import { until } from '../../support/until.ts';

const FORGOTTEN_MAX = 500;

/** Three, and some for a machine that is so busy that whoever forgets waits in vain. */
const TRIES_MAX = 6;

const WAITING = `
  SELECT count(*)::int AS waiting FROM pg_stat_activity
  WHERE datname = current_database() AND wait_event_type = 'Lock' AND query ~ '^\\s*(WITH blocks|UPDATE head SET rules_version)'`;

/** An instance that appends, and one that changes what appends are judged by. */
async function twoInstances(t: TestContext) {
  const address = await newLog();
  const open = () => PostgresStore.open(address, undefined, { allowsLoss: true });
  const [store, other] = await Promise.all([open(), open()]);
  t.after(() => Promise.all([store.close(), other.close()]));
  await Promise.all([beginReaders(store), beginReaders(other)]);
  await store.append([batchOf(eventWith({ topic: 'other' }))]);
  const holder = await beside(t, address);
  const client = await beside(t, address);

  /** Has these come to the head row one after the other while somebody else holds it. Resolves when they are done. */
  const inTurn = async <T>(...works: (() => Promise<T>)[]): Promise<T[]> => {
    await holder.query('BEGIN; SELECT FROM head FOR UPDATE');
    const begun: Promise<T>[] = [];
    try {
      for (const work of works) {
        begun.push(work());
        await until(
          () => `${begun.length} statements to wait for the head row`,
          async () => {
            const { rows } = await client.query<{ waiting: number }>(WAITING);
            return rows[0]!.waiting === begun.length;
          },
        );
      }
    } finally {
      await holder.query('COMMIT');
    }
    return Promise.all(begun);
  };
  return { store, other, client, inTurn };
}

test('of an id that is forgotten an append that is under way leaves no trace, or stores the event anew [DUP-5, RET-16]', async (t) => {
  const { store, other, client, inTurn } = await twoInstances(t);
  const append = async () => (await store.append([batchOf(eventWith({ source: 'app' }))]))[0]!.verdicts[0];
  const forget = async () => void (await other.retention.erase('orders', 'e-1', true));
  const histories = async () => {
    await store.repeats.ages({});
    return (await client.query('SELECT events FROM histories')).rows;
  };

  assert.equal(await append(), ACCEPTED);
  const [before] = await inTurn<unknown>(append, forget);
  assert.equal(before, DUPLICATE);
  assert.deepEqual(await histories(), []);

  assert.equal(await append(), ACCEPTED);
  const [, after] = await inTurn<unknown>(forget, append);
  assert.equal(after, ACCEPTED);
  assert.deepEqual(await histories(), []);
});

test('an append that takes long is not undone again and again while ids are forgotten [P-7, RET-16]', async (t) => {
  const { store, other, client } = await twoInstances(t);
  const ids = Array.from({ length: FORGOTTEN_MAX }, (_, i) => `e-${i}`);
  await store.append([batchOf(...ids.map((id) => eventWith({ event_id: id })))]);
  // What is undone is counted, too.
  await client.query(`
    CREATE SEQUENCE tries;
    CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
      PERFORM nextval('tries'), pg_sleep(0.4);
      RETURN NULL;
    END $$;
    CREATE TRIGGER slow BEFORE INSERT ON key FOR EACH STATEMENT EXECUTE FUNCTION slow()`);
  let isAnswered = false;
  const answer = store.append([batchOf(eventWith({ topic: 'slow' }))]).finally(() => (isAnswered = true));
  for (const id of ids) {
    if (isAnswered) break;
    await other.retention.erase('orders', id, true);
  }
  assert.equal((await answer)[0]!.verdicts[0], ACCEPTED);
  const { rows } = await client.query<{ tries: string }>('SELECT last_value AS tries FROM tries');
  assert.ok(Number(rows[0]!.tries) <= TRIES_MAX, `${rows[0]!.tries} tries`);
});

test('an event whose append is under way when a policy is set is stored as the policy says [RET-6]', async (t) => {
  const { store, other, inTurn } = await twoInstances(t);
  const append = async () => (await store.append([batchOf(eventWith())]))[0]!.bare;
  const put = async () => void (await other.retention.put(policyWith({ topics: ['orders'], keep: 'ids' })));
  const [, bare] = await inTurn<unknown>(put, append);
  assert.deepEqual(bare, Uint8Array.of(1));
});
