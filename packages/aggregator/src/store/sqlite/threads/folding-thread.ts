import { fdatasyncSync } from 'node:fs';
import type { StatementSync } from 'node:sqlite';
import { parentPort, workerData } from 'node:worker_threads';
import { openForFolding } from '../file/database.ts';
import { isOfFileOrDisk, writeErrorOf } from '../file/errors.ts';
import type { Folded, FoldingCall, FoldingData } from './calls.ts';

/** If the log is not short after this many passes, it grows as fast as it is folded. */
const PASSES_MAX = 4;

/**
 * Folds (checkpoints) the log into the file whenever the writer's thread asks for it. It takes no lock that a commit
 * waits for, so the writer continues, and each pass leaves what was written meanwhile: less from pass to pass.
 */
function serve(port: NonNullable<typeof parentPort>, { path, fd, restPages }: FoldingData): void {
  const db = openForFolding(path);
  const pass = db.prepare('PRAGMA wal_checkpoint(PASSIVE)');
  const look = db.prepare('PRAGMA wal_checkpoint(NOOP)');
  port.on('message', ({ name }: FoldingCall) => {
    if (name === 'fold') {
      port.postMessage(answerOf(() => fold(pass, look, fd, restPages)) satisfies Folded);
    } else {
      db.close();
      port.close();
    }
  });
}

function fold(pass: StatementSync, look: StatementSync, fd: number, restPages: number): void {
  let before = -1;
  for (let passes = 0; passes < PASSES_MAX; passes++) {
    pass.get();
    // SQLite leaves this to the pass that reaches the end of the log, which would be the writer's.
    fdatasyncSync(fd);
    const { log, checkpointed } = look.get() as { log: number; checkpointed: number };
    // No pass gets beyond what a reader of the log still sees.
    if (log - checkpointed <= restPages / 2 || checkpointed === before) return;
    before = checkpointed;
  }
}

function answerOf(work: () => void): Folded {
  try {
    work();
    return { error: null };
  } catch (cause) {
    const { code, message } = writeErrorOf(cause);
    return { error: { code, message, isOfFileOrDisk: isOfFileOrDisk(cause) } };
  }
}

if (parentPort !== null) serve(parentPort, workerData as FoldingData);
