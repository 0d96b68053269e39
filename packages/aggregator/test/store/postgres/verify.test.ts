import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Client } from 'pg';
import { PostgresStore } from '../../../src/store/postgres/store.ts';
import { verifyDatabase } from '../../../src/store/postgres/verify.ts';
import { batchOf, eventWith, manyEvents } from '../../support/events.ts';
import { StoredGroup } from '../../support/stored-group.ts';
import { TestClock } from '../../support/stores.ts';
import { beside, newLog } from '../../support/postgres-server.ts';

const SHAPE = { eventsMax: 8, largeEvents: 6, waitingMax: 8 };

/** A log with merged blocks, passed ones, fresh ones, duplicates, conflicts, and a group with a lease. */
async function filled(address: string): Promise<PostgresStore> {
  const store = await PostgresStore.open(address, undefined, { allowsLoss: true, merging: SHAPE });
  const one = (i: number) => eventWith({ event_id: `${i}`, topic: `t${i % 3}` });
  for (let i = 0; i < 16; i++) await store.append([batchOf(one(i))]);
  await store.append([batchOf(...manyEvents(20, (i) => ({ event_id: `large-${i}` })))]);
  await store.append([batchOf(one(1), { ...one(2), source: 'another' })]);
  await store.merge();
  await store.repeats.ages({});
  for (let i = 16; i < 20; i++) await store.append([batchOf(one(i))]);
  return store;
}

const DAMAGES: readonly [what: string, sql: string, says: RegExp][] = [
  ['a merged block has lost a bit', "UPDATE merged_block SET body = set_byte(body, 40, get_byte(body, 40) # 1) WHERE first_offset = 1", /block at offset 1: its checksum does not match/],
  ['a merged block is gone', 'DELETE FROM merged_block WHERE first_offset = 9', /block at offset 17: the one before ends at 8/],
  ['a passed block is gone', 'DELETE FROM block USING merged_block AS m WHERE block.append_id = m.append_id', /block at offset 17: the block that it names is gone/],
  ['a fresh block is gone', 'DELETE FROM block WHERE append_id = (SELECT append_id FROM log WHERE first_offset = 38)', /block at offset 39: the one before ends at 37/],
  ['the last block is gone', 'DELETE FROM block WHERE append_id = (SELECT append_id FROM log WHERE first_offset = 40)', /books: last offset 40, but the log has 39/],
  ['a block is of no commit', "INSERT INTO block SELECT 999, 0, events, directory, body FROM block LIMIT 1", /the block of append 999, place 0 is not in the log/],
  ['a block lists other topics', "UPDATE merged_block SET topics = '{1}' WHERE first_offset = 1", /block at offset 1: its row does not say that it holds topic/],
  ['a block says another size', 'UPDATE merged_block SET bytes = bytes + 1 WHERE first_offset = 1', /block at offset 1: its row says/],
  ['a merged block has another time', 'UPDATE log SET received_ms = received_ms + 1 WHERE first_offset = 40; UPDATE head SET last_ms = last_ms + 5; UPDATE log SET received_ms = received_ms - 1 WHERE first_offset = 1', /offset 1, topic "t0", event "0": its block says that it came at/],
  ['time goes back', 'UPDATE log SET received_ms = 5 WHERE first_offset = 39', /at offset 39: its time 5 is before that of an earlier one/],
  ['a commit is gone', 'DELETE FROM log WHERE first_offset = 3', /offset 3, .*: no commit in the log has it/],
  ['a commit counts another topic', "UPDATE log SET counts = '{2}' WHERE first_offset = 2", /append \d+ at offset 2: its row says topics/],
  ['a commit that stored nothing counts topics', "UPDATE log SET topics = '{1}', counts = '{1}', lasts = '{0}', bytes = '{9}' WHERE events = 0", /its row says no events, but topics/],
  ['a key is gone', 'DELETE FROM key WHERE append_id = (SELECT append_id FROM log WHERE first_offset = 2)', /offset 2, topic "t1", event "1": its key is missing/],
  ['a key stands for nothing', "INSERT INTO key VALUES (999, 0, 0, gen_random_uuid())", /the key of append 999, place 0 stands for no event/],
  ['a key has another place', 'UPDATE key SET place = 3 WHERE append_id = (SELECT append_id FROM log WHERE first_offset = 2)', /event "1": its key names append \d+, place 3/],
  ['a key has another digest', 'UPDATE key SET digest = digest # 1 WHERE append_id = (SELECT append_id FROM log WHERE first_offset = 2)', /event "1": its digest does not match/],
  ['the books lie', 'UPDATE head SET received = 39', /books: received 39 is less than accepted 40/],
  ['more conflicts than duplicates', 'UPDATE head SET conflicts = 3', /books: 3 conflicts among 2 duplicates/],
  ['the end is wrong', 'UPDATE head SET last_offset = 41, received = received + 1', /books: last offset 41, but the log has 40 events/],
  ['the last time is too early', 'UPDATE head SET last_ms = 5', /books: the last commit was at 5/],
  ['a topic is miscounted', "UPDATE topic SET events = events + 1 WHERE name = 't1'", /topic "t1": the books say/],
  ['bytes are miscounted', "UPDATE topic SET bytes = bytes + 1 WHERE name = 't1'", /topic "t1": the books say/],
  ['expired events are miscounted', "UPDATE topic SET expired = expired + 1 WHERE name = 't2'", /topic "t2": the books say/],
  ['a text would never be let go of', "UPDATE merged_block SET kept_topics = '{}' WHERE first_offset = 1", /block at offset 1: its row says that no texts of topic [\d,]+ are left/],
  ['an id is gone that nobody forgot', 'DELETE FROM key WHERE append_id = (SELECT append_id FROM log WHERE first_offset = 4)', /key has 39 keys, the log 40 events, of which 0 are forgotten/],
  ['a topic has another name', "UPDATE topic SET name = 'x' WHERE name = 't1'", /the directory says topic "x"/],
  ['the merging is further on', 'UPDATE merging SET last_offset = 38', /blocks are merged up to offset 36, merging says 38/],
  ['topics are counted beyond the end', 'UPDATE settled SET last_offset = 100', /topics are counted up to offset 100/],
  ['an epoch begins in the future', "UPDATE epoch SET after_offset = 100", /epochs: they begin after offsets 100/],
  ['an epoch is gone', 'DELETE FROM epoch', /epochs: the newest one is 0, head says 1/],
  ['a group is beyond the end', 'UPDATE event_group SET position = 100', /group "g": position 100 is beyond the last offset 40/],
  ['a group counts other hands', 'UPDATE event_group SET outstanding = 7', /group "g": the books say 7 events are outstanding/],
  ['a hand is of no group', 'UPDATE hand SET group_id = 77', /is outstanding for group 77, which does not exist/],
  ['repeats are counted that nobody published', "INSERT INTO repeat_age VALUES (1, 'x', 0, 9, 0)", /repeats: 11 are counted, but the books have 2 duplicates/],
  ['conflicts are counted that nobody published', 'UPDATE repeat_age SET conflicts = conflicts + 9; UPDATE repeats SET conflicts = conflicts + 18', /repeats: 19 conflicts are counted, but the books have 1/],
  ['a conflict has no number', 'UPDATE repeats SET conflicts = 0', /repeats: 0 conflicts are numbered, 1 counted, the last one is 1/],
  ['a note is of no commit', "INSERT INTO repeat VALUES (999, '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}')", /repeat: append 999 is not in the log/],
  ['a history is of no event', 'UPDATE histories SET stretch = 5', /history: there is no event at offset 5123/],
  ['a conflict is of no event', 'UPDATE conflict SET first_offset = 99', /conflict 1: there is no event at offset 99/],
  ['a history lies', "UPDATE histories SET events = replace(events, '=3 1 1', '=3 1 5')", /history at offset 3: 5 conflicts and 1 lines among 1 duplicates/],
  ['a row is missing', 'DELETE FROM settled', /books: head, settled, merging or retention has no row/],
]; // prettier-ignore

async function problemsAfter(client: Client, address: string, sql: string): Promise<string[]> {
  const tables = ['about', 'head', 'key', 'block', 'log', 'merged_block', 'merging', 'topic', 'settled', 'epoch', 'event_group', 'hand', 'dead_letter', 'repeats', 'repeat', 'repeat_age', 'histories', 'conflict']; // prettier-ignore
  for (const table of tables)
    await client.query(`CREATE TEMP TABLE "kept_${table}" AS SELECT * FROM ${table}`);
  await client.query(sql);
  const { problems } = await verifyDatabase(address);
  for (const table of tables) {
    await client.query(
      `DELETE FROM ${table}; INSERT INTO ${table} SELECT * FROM "kept_${table}"; DROP TABLE "kept_${table}"`,
    );
  }
  return problems;
}

test('verify finds each kind of damage in a database and names its place', async (t) => {
  const address = await newLog();
  const store = await filled(address);
  t.after(() => store.close());
  const group = await StoredGroup.make({ store, clock: new TestClock(0) }, { name: 'g' });
  await group.take([0, 3], 3);
  await store.close();
  const client = await beside(t, address);
  assert.deepEqual((await verifyDatabase(address)).problems, []);
  for (const [what, sql, says] of DAMAGES) {
    const problems = await problemsAfter(client, address, sql);
    assert.ok(problems.some((problem) => says.test(problem)), `${what}: ${problems.join('\n')}`); // prettier-ignore
  }
  assert.deepEqual((await verifyDatabase(address)).problems, [], 'all damage was undone');
});

test('verify finds a log sound while instances write and merge it', async (t) => {
  const address = await newLog();
  const store = await filled(address);
  t.after(() => store.close());
  const done = new AbortController();
  const writing = (async () => {
    for (let i = 100; !done.signal.aborted; i++) {
      await store.append([batchOf(eventWith({ event_id: `${i}`, topic: `t${i % 5}` }))]);
      if (i % 20 === 0) await store.merge();
    }
  })();
  try {
    for (let i = 0; i < 5; i++) {
      const { problems, events, keys, blocks } = await verifyDatabase(address);
      assert.deepEqual(problems, []);
      assert.equal(events, keys);
      assert.ok(events >= 40 && blocks > 3);
    }
  } finally {
    done.abort();
    await writing;
  }
});

test('verify says in one line where there is no log', async () => {
  await assert.rejects(verifyDatabase(await newLog()), /holds no log of this program/);
});
