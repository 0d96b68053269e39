import assert from 'node:assert/strict';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import { ACCEPTED } from '../../../../src/store/event-store.ts';
import { type FileShape, openFile } from '../../../../src/store/sqlite/open-file.ts';
import { BareKeys, EntryList } from '../../../../src/store/sqlite/keys/bare-keys.ts';
import { Retention } from '../../../../src/store/sqlite/retention.ts';
import { rebuildIndex, verifyFile } from '../../../../src/store/sqlite/upkeep/verify.ts';
import { batchOf, eventWith } from '../../../support/events.ts';
import { tempFolder } from '../../../support/temp-folder.ts';
import { SMALL, Model, mergeOnce, copyAsKilled } from '../../../support/block-log.ts';

test('verify finds each kind of damage and names its place, and a rebuild repairs the index', (t) => {
  const folder = tempFolder(t);
  const sound = join(folder, 'sound.db');
  const model = new Model(11, 3);
  const file = openFile(sound, { shape: SMALL });
  file.appender.trail.turnOn();
  while (model.log.length < 400) model.append(file, model.batch(20));
  mergeOnce(file);
  while (file.index.isBusy) file.appender.transaction(() => file.index.step(16));
  const { repeats } = file.appender;
  while (repeats.arePending) file.appender.transaction(() => repeats.settleSome(100));
  for (let i = 0; i < 3; i++) model.append(file, model.batch(5));
  file.appender.append(batchOf(model.log[0]!, { ...model.log[1]!, payload: { lost: true } }));
  file.close();
  assert.deepEqual(verifyFile(sound, undefined, SMALL).problems, []);

  const damages: [string, string, RegExp][] = [
    ['a key is gone', "UPDATE key_block SET entries = x'' WHERE place = (SELECT max(place) FROM key_block)", /its key is not in the index/],
    ['a block is gone', 'DELETE FROM fresh_block WHERE first_offset = (SELECT max(first_offset) FROM block)', /books: accepted/],
    ['the books lie', 'PRAGMA ignore_check_constraints = ON; UPDATE ledger SET received = received + 1', /books: received/],
    ['a topic is miscounted', "UPDATE topic SET events = events + 1 WHERE name = 't1'", /topic "t1": the books say/],
    ['a topic is not listed', 'DELETE FROM block_topic WHERE topic_id = 1', /block_topic does not say/],
    ['a fresh block is listed', 'INSERT INTO block_topic SELECT 1, max(first_offset) FROM fresh_block', /block_topic has \d+ rows/],
    ['a filter is empty', 'UPDATE key_filter SET bits = zeroblob(length(bits) - 4)', /the filter does not contain it/],
    ['a filter is changed', 'UPDATE key_filter SET bits = zeroblob(length(bits))', /the filter of key run \d+: its checksum does not match/],
    ['a key is changed', 'UPDATE key_block SET entries = zeroblob(length(entries)) WHERE place = (SELECT max(place) FROM key_block WHERE length(entries) > 4)', /bucket \d+ of key run \d+: its checksum does not match/],
    ["a text is torn", "UPDATE fresh_block SET body = zeroblob(length(body)) WHERE first_offset = (SELECT max(first_offset) FROM block)", /block at offset \d+:/],
    ['an epoch begins in the future', "INSERT INTO epoch (name, after_offset) VALUES ('x', 1000000)", /epochs: they begin/],
    ['a repeat is counted twice', 'UPDATE repeat_state SET duplicates_before = duplicates_before - 1', /repeats: \d+ are counted, \d+ of them conflicts, but the books have/],
    ['ages are changed', 'UPDATE repeat_count SET ages = CAST(substr(ages, 2) AS BLOB)', /repeats on topic \d+ from "web": /],
    ['a repeat is of no event', 'UPDATE repeat_history SET offset = 1000000 WHERE offset = (SELECT max(offset) FROM repeat_history)', /repeats of offset 1000000: the log ends/],
    ['a history is cut', "UPDATE repeat_history SET repeats = x''", /repeats of offset \d+: 0 of \d+ are known/],
    ['pending repeats are torn', "UPDATE pending_repeat SET body = substr(body, 1, length(body) - 1)", /repeats: the bytes of packed repeats end too early/],
    ['a text that lost is gone', 'DELETE FROM conflict_texts WHERE last_number = (SELECT max(last_number) FROM conflict_texts)', /conflict \d+: its text is missing/],
    ['a conflict lost to no event', 'UPDATE conflict SET offset = 1000000', /conflict \d+: it lost to offset 1000000/],
    ['a record of the trail is gone', 'DELETE FROM audit WHERE record = 2', /record 3 of the audit trail: the one before is missing/],
    ['the trail goes back in time', 'UPDATE audit SET at_ms = at_ms - 1000000 WHERE record = 2', /record 2 of the audit trail: it is older/],
    ['a record of the trail is torn', 'UPDATE audit SET body = substr(body, 2) WHERE record = 2', /record 2 of the audit trail: /],
    ['a record is of no action', 'UPDATE audit SET action = 1000 WHERE record = 2', /record 2 of the audit trail: there is no action 1000/],
    ['a record is of no event', "UPDATE audit SET body = '[1000000,1,0]' WHERE record = 2", /record 2 of the audit trail: it tells of offset 1000000/],
    ['there is no epoch', 'DELETE FROM epoch', /epochs: they begin/],
    ['a run says another count', 'UPDATE key_run SET keys = keys + 1 WHERE run_id = (SELECT min(run_id) FROM key_run WHERE merged_into IS NULL)', /its row says|the index has/],
  ]; // prettier-ignore
  for (const [name, sql, message] of damages) {
    const path = join(folder, `${name}.db`);
    copyAsKilled(sound, path);
    const db = new DatabaseSync(path);
    db.exec(sql);
    db.close();
    const findings = verifyFile(path, undefined, SMALL);
    assert.ok(findings.problems.some((problem) => message.test(problem)), `${name}: ${findings.problems.slice(0, 3).join('; ')}`); // prettier-ignore
  }

  for (const name of [
    'a key is gone',
    'a key is changed',
    'a filter is empty',
    'a filter is changed',
    'a run says another count',
  ]) {
    const path = join(folder, `${name}.db`);
    rebuildIndex(path, undefined, SMALL);
    assert.deepEqual(verifyFile(path, undefined, SMALL).problems, [], name);
  }
});

test('with keys of only 8 bits events are dropped as duplicates of others, and verify notices that keys are wrong', (t) => {
  const narrow: FileShape = { ...SMALL, keyBits: 8 };
  const path = join(tempFolder(t), 'narrow.db');
  const file = openFile(path, { shape: narrow });
  const events = Array.from({ length: 1000 }, (_, i) => eventWith({ event_id: `${i}` }));
  let accepted = 0;
  for (let i = 0; i < 1000; i += 50) {
    const { verdicts } = file.appender.append(batchOf(...events.slice(i, i + 50)));
    accepted += verdicts.filter((verdict) => verdict === ACCEPTED).length;
  }
  file.close();
  assert.ok(accepted <= 256 && accepted > 200, `${accepted} of 1000 events had a key of their own`);
  assert.deepEqual(verifyFile(path, undefined, narrow).problems, []);
  const findings = verifyFile(path, undefined, SMALL);
  assert.ok(findings.problems.some((problem) => /its key is not in the index/.test(problem)));
});

test('a rebuild keeps the ids of events without a text, and says how many it could not read', (t) => {
  const path = join(tempFolder(t), 'events.db');
  let file = openFile(path, { shape: SMALL });
  const events = Array.from({ length: 400 }, (_, i) => eventWith({ event_id: `e-${i}`, topic: `t${i % 3}` }));
  for (let i = 0; i < 400; i += 10) file.appender.append(batchOf(...events.slice(i, i + 10)));
  while (file.index.isBusy) file.appender.transaction(() => file.index.step(16));
  const retention = new Retention(file);
  while (!retention.expire({ topicPatterns: [['t1', 't2']], upTo: 390 }).isDone);
  // One of a run, one of the newest.
  for (const i of [1, 388]) assert.ok(retention.erase(`t${i % 3}`, `e-${i}`, true) !== null);
  // A row that is to be deleted, of the id that was forgotten in a run.
  const stale = new EntryList();
  file.hasher.hashNames('t1', 'e-1');
  stale.push(file.hasher.k0, file.hasher.k1, file.hasher.k2, file.hasher.k3, 2, 0);
  file.close();
  assert.deepEqual(verifyFile(path, undefined, SMALL).problems, []);
  let db = new DatabaseSync(path);
  new BareKeys(db, SMALL.index).add(stale);
  db.close();
  assert.equal(rebuildIndex(path, undefined, SMALL), 0);
  assert.deepEqual(verifyFile(path, undefined, SMALL).problems, []);
  file = openFile(path, { shape: SMALL });
  const { verdicts } = file.appender.append(batchOf(...events));
  file.close();
  assert.deepEqual([...verdicts.keys()].filter((i) => verdicts[i] === ACCEPTED), [1, 388]); // prettier-ignore
  db = new DatabaseSync(path);
  // All of them: which one has ids of events without a text depends on the file's secret.
  db.exec("UPDATE key_block SET entries = x'00' WHERE length(entries) > 100");
  db.close();
  assert.ok(rebuildIndex(path, undefined, SMALL) > 0);
  assert.deepEqual(verifyFile(path, undefined, SMALL).problems, []);
});
