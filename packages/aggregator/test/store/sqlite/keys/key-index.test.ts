import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { FILE_SHAPE, openFile } from '../../../../src/store/sqlite/open-file.ts';
import { batchOf, manyEvents } from '../../../support/events.ts';
import { tempFolder } from '../../../support/temp-folder.ts';

test('a merged bucket is in the new run alone, so the index takes no more space than its keys need', (t) => {
  const index = { hotKeysMax: 16, baseBits: 1 };
  const file = openFile(join(tempFolder(t), 'events.db'), { shape: { ...FILE_SHAPE, index } });
  t.after(() => file.close());
  // Eight runs of 16 keys become one; a ninth table is full and not yet sealed.
  for (let i = 0; i < 9; i++) {
    file.appender.append(batchOf(...manyEvents(16, (n) => ({ event_id: `${i}-${n}` }))));
  }
  for (let steps = 0; file.index.isBusy; steps++) {
    assert.ok(steps < 100, 'the index never finishes its work');
    file.appender.transaction(() => file.index.step(64));
  }
  const runs = file.db.prepare('SELECT level, filled FROM key_run ORDER BY run_id').all();
  const blocks = file.db.prepare('SELECT count(*) AS n FROM key_block').get()!['n'];
  assert.ok(
    runs.some((run) => run['level'] === 1),
    'nothing was merged',
  );
  assert.equal(
    blocks,
    runs.reduce((sum, run) => sum + Number(run['filled']), 0),
  );
});
