import { closeSync, openSync, readSync } from 'node:fs';
import type { EventBatch } from '../../packages/aggregator/src/event/event-batch.ts';
import { readEvents } from '../../packages/aggregator/src/event/event-reader.ts';
import { ACCEPTED } from '../../packages/aggregator/src/store/event-store.ts';
import { openFile } from '../../packages/aggregator/src/store/sqlite/open-file.ts';
import type { StallLoad, StallRow, StallSize } from '../results.ts';
import { percentile } from '../statistics.ts';
import { createEventText } from './event-text.ts';
import { Plan } from './plan.ts';

/**
 * Appends as the writer's thread does, alone in this process, and tells of the commits how long they took, for how long
 * of that sealing and merging held them up, and what went on beside their own events.
 *
 * usage: node appends.ts FILE SEED LOADS
 *
 * LOADS is JSON, `[{"batch": events of a commit, "commits": how many}, …]`: one after the other on one file.
 */
const [path = '', seed = '', loads = ''] = process.argv.slice(2);

/** Events whose batches are made ahead of the clock at once. */
const PREPARED_EVENTS = 50_000;

interface Commit {
  readonly tookMs: number;
  readonly heldMs: number;
  /** The thread's processor time of that: what other work on the machine does not change. */
  readonly heldCpuMs: number;
  readonly beside: readonly string[];
}

const eventText = createEventText(Number(seed));
const plan = new Plan(Number(seed));
const file = openFile(path);
const { appender, index, log } = file;

let heldMs = 0;
let heldCpuMs = 0;
index.step = timed(index.step.bind(index));
log.step = timed(log.step.bind(log));

/** The index of the write-ahead log, which tells how much of it a checkpoint has brought into the file. */
const walIndex = openSync(`${path}-shm`, 'r');
const backfill = Buffer.alloc(4);

const sizes: StallSize[] = (JSON.parse(loads) as StallLoad[]).map(({ batch, commits: count }) => {
  const commits: Commit[] = [];
  while (commits.length < count) {
    const ahead = Math.min(count - commits.length, Math.max(1, Math.floor(PREPARED_EVENTS / batch)));
    const prepared = Array.from({ length: ahead }, () => batchOf(batch));
    for (const one of prepared) commits.push(commit(one));
  }
  return { batch, rows: rowsOf(commits) };
});
closeSync(walIndex);
file.close();
process.stdout.write(`${JSON.stringify(sizes)}\n`);

function batchOf(events: number): { batch: EventBatch; fresh: number } {
  const { events: numbers, fresh } = plan.next(events);
  const body = Buffer.from(`{"events":[${Array.from(numbers, eventText).join()}]}`);
  const read = readEvents(body);
  if (read.kind !== 'batch') throw new Error('the events of the benchmark are not valid');
  return { batch: read.batch, fresh };
}

function commit({ batch, fresh }: { batch: EventBatch; fresh: number }): Commit {
  const before = underWay();
  const checkpointedBefore = checkpointed();
  heldMs = 0;
  heldCpuMs = 0;
  const startMs = performance.now();
  const { verdicts } = appender.append(batch);
  const tookMs = performance.now() - startMs;
  const accepted = verdicts.reduce((sum, verdict) => sum + (verdict === ACCEPTED ? 1 : 0), 0);
  if (accepted !== fresh) throw new Error(`${accepted} events were accepted, ${fresh} are new`);
  const after = checkpointed();
  const checkpoint = after > 0 && after !== checkpointedBefore ? ['a checkpoint'] : [];
  // What a commit begins is not under way before it, what it ends not after it.
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

/** Frames that are in the file since the log began anew. https://sqlite.org/walformat.html, nBackfill */
function checkpointed(): number {
  readSync(walIndex, backfill, 0, 4, 96);
  return backfill.readUInt32LE(0);
}

/** All commits, those with nothing beside them, and those with each thing; one with two things is in both rows. */
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
