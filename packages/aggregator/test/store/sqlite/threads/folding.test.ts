import assert from 'node:assert/strict';
import { existsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import { type TestContext, test } from 'node:test';
import { openForReading } from '../../../../src/store/sqlite/file/database.ts';
import { openFile } from '../../../../src/store/sqlite/open-file.ts';
import { FOLDING_SHAPE, Folding, type FoldingShape } from '../../../../src/store/sqlite/threads/folding.ts';
import { batchOf, eventWith } from '../../../support/events.ts';
import { tempFolder } from '../../../support/temp-folder.ts';
import { until } from '../../../support/until.ts';

/** Bytes that a page takes in the log. */
const FRAME_BYTES = 4096 + 24;

const SHAPE = { ...FOLDING_SHAPE, pages: 100, restPages: 64, againPages: 16, overduePages: 100_000 };

/** An open file whose log is folded, with commits as fast as possible while the thread still gets messages. */
class Writer {
  readonly path: string;
  readonly told: string[] = [];
  readonly stopped: string[] = [];
  readonly folding: Folding;
  readonly #file;
  readonly #look;
  #next = 0;

  constructor(t: TestContext, shape: FoldingShape = SHAPE) {
    this.path = join(tempFolder(t), 'events.db');
    this.#file = openFile(this.path, { stopped: ({ message }) => this.stopped.push(message) });
    this.#file.db.exec('PRAGMA synchronous = OFF');
    this.folding = new Folding(this.#file, (_, message) => this.told.push(message), shape);
    this.#look = this.#file.db.prepare('PRAGMA wal_checkpoint(NOOP)');
    t.after(async () => this.close());
  }

  /** Commits once, which writes a few pages. */
  async commit(): Promise<void> {
    const id = this.#next++;
    this.#file.appender.append(batchOf(eventWith({ event_id: `${id}`, topic: `topic-${id % 8}` })));
    await turn();
  }

  /** Commits this many pages of log. Returns the greatest length of the log after any of the commits, in pages. */
  async commitPages(pages: number): Promise<number> {
    let most = 0;
    for (let written = 0; written < pages;) {
      const before = this.log().pages;
      await this.commit();
      const after = this.log().pages;
      written += after > before ? after - before : after;
      most = Math.max(most, after);
    }
    return most;
  }

  /** The used length of the log, whose file may be longer, and how much of it is not in the file yet. In pages. */
  log(): { pages: number; rest: number } {
    const { log, checkpointed } = this.#look.get() as { log: number; checkpointed: number };
    return { pages: log, rest: log - checkpointed };
  }

  logFilePages(): number {
    return statSync(`${this.path}-wal`).size / FRAME_BYTES;
  }

  events(): number {
    return this.#next;
  }

  async close(): Promise<void> {
    await this.folding.leave();
    if (this.#file.db.isOpen) this.#file.close();
    this.folding.release();
  }
}

test('the log restarts again and again while the writer never pauses', async (t) => {
  const writer = new Writer(t);
  for (let time = 0; time < 20; time++) {
    await writer.commitPages(SHAPE.pages);
    await untilAnew(writer);
  }
  assert.deepEqual(writer.told, []);
});

test('a log that a long read holds grows, and restarts when the read is over', async (t) => {
  const writer = new Writer(t);
  await writer.commit();
  const reader = openForReading(writer.path);
  t.after(() => reader.close());
  reader.exec('BEGIN');
  reader.prepare('SELECT count(*) FROM block').get();
  assert.ok((await writer.commitPages(6 * SHAPE.pages)) >= 6 * SHAPE.pages);
  reader.exec('COMMIT');
  await untilAnew(writer);
  const grown = writer.logFilePages();
  await writer.commitPages(4 * SHAPE.pages);
  assert.ok(writer.logFilePages() < grown + SHAPE.pages, 'the log went on growing');
});

test('occasional writes are folded, too, by the writer itself', async (t) => {
  // A new file takes more pages than SHAPE leaves to the writer.
  const { restPages } = FOLDING_SHAPE;
  const program = answering('throw new Error("started")');
  const writer = new Writer(t, { ...SHAPE, restPages, everyMs: 20, program });
  await writer.commit();
  assert.ok(writer.log().rest > 0);
  await until(
    () => 'the log to be folded',
    () => writer.log().rest === 0,
  );
  assert.deepEqual(writer.told, []);
});

test('if the other thread cannot fold the log because the disk fails, the writer stops', async (t) => {
  const writer = new Writer(t, {
    ...SHAPE,
    program: answering('parentPort.postMessage({ error: { code: "failed", message: "disk I/O error" } })'),
  });
  await assert.rejects(
    () =>
      until(
        () => 'an append that fails',
        async () => {
          await writer.commit();
          return false;
        },
      ),
    /disk I\/O error/,
  );
  assert.deepEqual(writer.stopped, ['disk I/O error']);
});

test('if the other thread finds no space, it is asked again, and the writer continues', async (t) => {
  const writer = new Writer(t, {
    ...SHAPE,
    restPages: 0,
    program: answering(`
      times += 1;
      if (times < 3) parentPort.postMessage({ error: { code: "blocked", message: "no space is left" } })
      else throw new Error('asked for the third time')`),
  });
  await until(
    () => 'the third attempt',
    async () => {
      await writer.commit();
      return writer.told.length > 0;
    },
  );
  assert.deepEqual(writer.stopped, []);
});

test("when the other thread dies, the service's log says so once, and the writer folds the log before it gets too long", async (t) => {
  const overduePages = 400;
  const writer = new Writer(t, {
    ...SHAPE,
    overduePages,
    program: answering('throw new Error("no memory")'),
  });
  for (let time = 0; time < 3; time++) {
    await writer.commitPages(overduePages);
    await untilAnew(writer);
  }
  assert.equal(writer.told.length, 1, writer.told.join('\n'));
  assert.match(writer.told[0]!, /the thread that checkpoints the log died/);
});

test('a file is closed after the other thread has left it, so that no log remains beside it', async (t) => {
  const writer = new Writer(t, { ...SHAPE, restPages: 100_000, program: SLOW_TO_LEAVE });
  await writer.commitPages(SHAPE.pages);
  await untilAnew(writer);
  await writer.close();
  assert.ok(!existsSync(`${writer.path}-wal`), 'the last connection to close was not the writer');
});

/** Commits without a pause until the log has restarted, within 60 s. */
async function untilAnew(writer: Writer): Promise<void> {
  const giveUpMs = performance.now() + 60_000;
  while ((await writer.commitPages(1)) >= SHAPE.pages) {
    const { pages } = writer.log();
    if (performance.now() > giveUpMs) throw new Error(`the log did not restart: it has ${pages} pages`);
  }
}

const SLOW_TO_LEAVE = programOf(`
  import { DatabaseSync } from 'node:sqlite';
  import { parentPort, workerData } from 'node:worker_threads';
  const db = new DatabaseSync(workerData.path);
  db.exec('PRAGMA user_version');
  parentPort.on('message', ({ name }) => {
    if (name === 'fold') parentPort.postMessage({ error: null });
    else setTimeout(() => { db.close(); parentPort.close(); }, 100);
  });`);

/** A program that runs this code for each message, instead of folding. */
function answering(code: string): URL {
  return programOf(`
    import { parentPort } from 'node:worker_threads';
    let times = 0;
    parentPort.on('message', ({ name }) => { if (name === 'leave') parentPort.close(); else { ${code} } });`);
}

function programOf(code: string): URL {
  return new URL(`data:text/javascript,${encodeURIComponent(code)}`);
}
