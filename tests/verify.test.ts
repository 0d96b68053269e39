import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { copyFileSync, existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { TestServer } from '../packages/aggregator/test/support/server.ts';
import { manyEvents } from '../packages/aggregator/test/support/events.ts';
import { Group } from '../packages/aggregator/test/support/group.ts';
import { verifyFile } from '../packages/aggregator/src/store/sqlite/upkeep/verify.ts';
import { tempFolder } from '../packages/aggregator/test/support/temp-folder.ts';

const MAIN = resolve(import.meta.dirname, '../packages/aggregator/src/programs/verify.ts');

interface Ended {
  code: number;
  stdout: string;
  stderr: string;
}

/** Runs `npm run verify -- ...` as a separate process. */
async function verify(...args: string[]): Promise<Ended> {
  try {
    const { stdout, stderr } = await promisify(execFile)(process.execPath, [MAIN, ...args], {
      timeout: 60_000,
    });
    return { code: 0, stdout, stderr };
  } catch (error) {
    const { code, stdout, stderr } = error as Ended;
    return { code, stdout, stderr };
  }
}

test("verify calls the service's file sound, and names what is wrong with a damaged one", async (t) => {
  const folder = tempFolder(t);
  const server = await TestServer.start(t);
  await server.publish(...manyEvents(2000, (i) => ({ topic: `t${i % 5}` })));
  await server.publish(...manyEvents(100));
  await server.close();
  const sound = await verify(server.databasePath);
  assert.equal(sound.code, 0, sound.stdout + sound.stderr);
  assert.match(sound.stdout, /^sound: 2100 events in \d+ blocks, 2100 keys\n$/);

  const damaged = join(folder, 'damaged.db');
  copyFileSync(server.databasePath, damaged);
  const db = new DatabaseSync(damaged);
  db.exec("UPDATE topic SET events = 7 WHERE name = 't3'");
  db.close();
  const wrong = await verify(damaged);
  assert.equal(wrong.code, 1);
  assert.match(
    wrong.stdout,
    /topic "t3": the books say 7 events up to offset \d+, the log has 400 up to \d+/,
  );
  assert.match(wrong.stdout, /1 problem: 2100 events/);

  const rebuilt = await verify(server.databasePath, '--rebuild');
  assert.equal(rebuilt.code, 0, rebuilt.stdout + rebuilt.stderr);
  assert.match(rebuilt.stdout, /rebuilt\nsound: 2100 events/);
});

test('verify names what is wrong with the books of a group', async (t) => {
  const server = await TestServer.start(t);
  await server.publish(...manyEvents(20));
  const group = new Group(server.url, 'g');
  await group.make({ max_deliveries: 2 });
  const events = await group.pull({ max: 10 });
  await group.acknowledge(events.slice(0, 3));
  await group.giveBack(events.slice(3, 5));
  await group.giveBack(await group.pull({ max: 2 }));
  assert.equal((await group.view()).dead, 2);
  await server.close();
  const sound = await verify(server.databasePath);
  assert.equal(sound.code, 0, sound.stdout);

  // 1 to 3 are acknowledged, 4 and 5 dead, 6 to 10 held by take 1.
  const faults: [string, RegExp][] = [
    ['UPDATE event_group SET position = 21', /"g": position 21 is beyond the last offset 20/],
    ['UPDATE event_group SET position = 7', /"g": offset 10 is outstanding above the position 7/],
    ['UPDATE dead_letter SET offset = 19 WHERE offset = 4', /"g": offset 19 is dead above the position 10/],
    ['UPDATE hand SET events = 4', /"g": the books say 5 events are outstanding, but 4 are/],
    ['UPDATE hand SET events = 4', /"g": the hand of take 1 says .* are 4,6,10, but they are 5,6,10/],
    ['DELETE FROM dead_letter WHERE offset = 4', /"g": the books say 2 events are dead, but 1 are/],
    ['UPDATE dead_letter SET offset = 8 WHERE offset = 4', /"g": offset 8 is both outstanding and dead/],
    ['INSERT INTO hand SELECT 1, 2, due_ms, is_last, events, first_offset, last_offset, entries FROM hand', /"g": offset 6 is in two hands/], // prettier-ignore
    ['UPDATE hand SET take = 9', /"g": offset 6 is leased by take 9 of 2/],
    ['UPDATE hand SET is_last = 1', /"g": offset 8 after 1 of 2 deliveries is at its last/],
    ['UPDATE event_group SET redeliveries = 99', /"g": of 12 deliveries 99 are redeliveries/],
    [
      'DELETE FROM event_group',
      /offset 6 is outstanding for group 1, which does not exist[^]*offset 4 is dead/,
    ],
  ];
  for (const [i, [damage, told]] of faults.entries()) {
    const damaged = join(tempFolder(t), `${i}.db`);
    copyFileSync(server.databasePath, damaged);
    const db = new DatabaseSync(damaged);
    db.exec(damage);
    db.close();
    assert.match(verifyFile(damaged).problems.join('\n'), told, damage);
  }
});

test('verify creates no file, reads no file of another program, and leaves a file in use alone', async (t) => {
  const folder = tempFolder(t);
  const missing = join(folder, 'missing.db');
  assert.deepEqual(await verify(missing), {
    code: 2,
    stdout: '',
    stderr: `verify: there is no file ${missing}\n`,
  });
  assert.equal(existsSync(missing), false);

  const foreign = join(folder, 'foreign.db');
  const other = new DatabaseSync(foreign);
  other.exec('CREATE TABLE x (y)');
  other.close();
  const refused = await verify(foreign);
  assert.equal(refused.code, 1);
  // Counts of nothing would read as if the file were empty.
  assert.match(refused.stdout, /of another program.*\n1 problem: the log could not be walked\n$/);
  const told = JSON.parse((await verify(foreign, '--json')).stdout) as object;
  assert.deepEqual(Object.keys(told), ['sound', 'problems_found', 'problems']);

  const server = await TestServer.start(t);
  await server.publish(...manyEvents(3));
  for (const options of [[], ['--json'], ['--rebuild']]) {
    const inUse = await verify(server.databasePath, ...options);
    assert.equal(inUse.code, 2);
    assert.match(inUse.stderr, /^verify: another process has .* open[^\n]*\n$/);
    assert.equal(inUse.stdout, '');
  }
  assert.equal((await server.stats()).received, 3);
});
