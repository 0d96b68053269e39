import { closeSync, openSync, readSync } from 'node:fs';
import { setImmediate as turn } from 'node:timers/promises';
import type { EventBatch } from '../../packages/aggregator/src/event/event-batch.ts';
import { readEvents } from '../../packages/aggregator/src/event/event-reader.ts';
import { ACCEPTED } from '../../packages/aggregator/src/store/event-store.ts';
import { openFile } from '../../packages/aggregator/src/store/sqlite/open-file.ts';
import { Folding } from '../../packages/aggregator/src/store/sqlite/threads/folding.ts';
import type { StallLoad, StallRow, StallSize } from '../results.ts';
import { percentile } from '../statistics.ts';
import { createEventText } from './event-text.ts';
import { Plan } from './plan.ts';

/**
 * Appends as the writer's thread does, with the thread that folds the log beside it, and reports how long commits took,
 * how much of that was sealing and merging, and what else went on during them.
 *
 * usage: node appends.ts FILE SEED LOADS
 *
 * LOADS is JSON, `[{"batch": events per commit, "commits": how many}, …]`; they run one after another on one file.
 */
const [path = '', seed = '', loads = ''] = process.argv.slice(2);

/** How many events are prepared at once, outside the measured time. */
const PREPARED_EVENTS = 50_000;

interface Commit {
  readonly tookMs: number;
  readonly heldMs: number;
  /** The thread's processor time for it, which other work on the machine does not change. */
  readonly heldCpuMs: number;
  readonly beside: readonly string[];
}

const eventText = createEventText(Number(seed));
const plan = new Plan(Number(seed));
const file = openFile(path);
const { appender, index, log } = file;
const folding = new Folding(file, (fields, message) => {
  throw new Error(`${message}: ${JSON.stringify(fields)}`);
});

let heldMs = 0;
let heldCpuMs = 0;
index.step = timed(index.step.bind(index));
log.step = timed(log.step.bind(log));

/** The index of the write-ahead log, which shows how much of it checkpoints have copied into the file. */
const walIndex = openSync(`${path}-shm`, 'r');
const backfill = Buffer.alloc(4);

const sizes: StallSize[] = [];
for (const { batch, commits: count } of JSON.parse(loads) as StallLoad[]) {
  const commits: Commit[] = [];
  while (commits.length < count) {
    const ahead = Math.min(count - commits.length, Math.max(1, Math.floor(PREPARED_EVENTS / batch)));
    const prepared = Array.from({ length: ahead }, () => batchOf(batch));
    for (const one of prepared) commits.push(await commit(one));
  }
  sizes.push({ batch, rows: rowsOf(commits) });
}
closeSync(walIndex);
await folding.leave();
file.close();
folding.release();
process.stdout.write(`${JSON.stringify(sizes)}\n`);

function batchOf(events: number): { batch: EventBatch; fresh: number } {
  const { events: numbers, fresh } = plan.next(events);
  const body = Buffer.from(`{"events":[${Array.from(numbers, eventText).join()}]}`);
  const read = readEvents(body);
  if (read.kind !== 'batch') throw new Error('the events of the benchmark are not valid');
  return { batch: read.batch, fresh };
}

async function commit({ batch, fresh }: { batch: EventBatch; fresh: number }): Promise<Commit> {
  const before = underWay();
  const checkpointedBefore = checkpointed();
  heldMs = 0;
  heldCpuMs = 0;
  const startMs = performance.now();
  // Now the other thread is heard; if the writer folds what it has left, this commit waits for that.
  await turn();
  const { verdicts } = appender.append(batch);
  const tookMs = performance.now() - startMs;
  const accepted = verdicts.reduce((sum, verdict) => sum + (verdict === ACCEPTED ? 1 : 0), 0);
  if (accepted !== fresh) throw new Error(`${accepted} events were accepted, ${fresh} are new`);
  const after = checkpointed();
  const checkpoint = after > 0 && after !== checkpointedBefore ? ['a checkpoint'] : [];
  // Before the commit we miss what it begins, and after it what it ends.
  const beside = [...new Set([...before, ...underWay(), ...checkpoint])];
  return { tookMs, heldMs, heldCpuMs, beside };
}

function underWay(): string[] {
  return [
    ...(index.isSealing ? ['sealing keys'] : []),
    ...(index.isMerging ? ['merging keys'] : []),
    ...(log.isMerging ? ['merging blocks'] : []),
  ];
}

function timed<A extends unknown[]>(step: (...args: A) => void): (...args: A) => void {
  return (...args) => {
    const startMs = performance.now();
    const cpuBefore = process.threadCpuUsage();
    step(...args);
    const { user, system } = process.threadCpuUsage(cpuBefore);
    heldMs += performance.now() - startMs;
    heldCpuMs += (user + system) / 1000;
  };
}

/** Frames copied into the file since the log last restarted: https://sqlite.org/walformat.html, nBackfill */
function checkpointed(): number {
  readSync(walIndex, backfill, 0, 4, 96);
  return backfill.readUInt32LE(0);
}

/** Rows for all commits, for undisturbed ones, and for each thing that went on; a commit can be in several rows. */
function rowsOf(commits: readonly Commit[]): StallRow[] {
  const plain = commits.filter((one) => one.beside.length === 0);
  const things = [...new Set(commits.flatMap((one) => one.beside))].toSorted();
  const rows = things.map((thing) => [thing, commits.filter((one) => one.beside.includes(thing))] as const);
  const all = [['all', commits], ['nothing beside', plain], ...rows] as const;
  return all.flatMap(([what, some]) => (some.length === 0 ? [] : [rowOf(what, some)]));
}

function rowOf(what: string, commits: readonly Commit[]): StallRow {
  const spread = (number: (one: Commit) => number): StallRow['tookMs'] => {
    const numbers = Float64Array.from(commits, number);
    return {
      p50: percentile(numbers, 0.5),
      p99: percentile(numbers, 0.99),
      p999: percentile(numbers, 0.999),
      max: percentile(numbers, 1),
    };
  };
  return {
    what,
    commits: commits.length,
    tookMs: spread((one) => one.tookMs),
    heldMs: spread((one) => one.heldMs),
    heldCpuMs: spread((one) => one.heldCpuMs),
  };
}
