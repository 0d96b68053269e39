import assert from 'node:assert/strict';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import { ACCEPTED } from '../../../../src/store/event-store.ts';
import { type FileShape, openFile } from '../../../../src/store/sqlite/open-file.ts';
import { rebuildIndex, verifyFile } from '../../../../src/store/sqlite/upkeep/verify.ts';
import { batchOf, eventWith } from '../../../support/events.ts';
import { tempFolder } from '../../../support/temp-folder.ts';
import { SMALL, Model, mergeOnce, copyAsKilled } from '../../../support/block-log.ts';

test('verify finds each kind of damage and names its place, and a rebuild repairs the index', (t) => {
  const folder = tempFolder(t);
  const sound = join(folder, 'sound.db');
  const model = new Model(11, 3);
  const file = openFile(sound, { shape: SMALL });
  while (model.log.length < 400) model.append(file, model.batch(20));
  mergeOnce(file);
  while (file.index.isBusy) file.appender.transaction(() => file.index.step(16));
  for (let i = 0; i < 3; i++) model.append(file, model.batch(5));
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
