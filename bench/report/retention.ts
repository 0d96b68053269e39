import type { BarLine } from '../results.ts';
import type {
  AnswerTimes,
  FileSize,
  LettingGo,
  RetentionResults,
  SteadyState,
} from '../results/retention.ts';
import { RATIO_MAX } from '../runs/retention.ts';
import { NONE, fine, megabytes, tableLines, whole } from './table.ts';

/** The bar: milliseconds at the 99.9th percentile, seconds, and by how much the file may grow. */
const HELD_MS_MAX = 50;
const REACHED_S_MAX = 120;
const GROWTH_MAX = 1.02;

/** Of the sizes of each second these are told, and the last one. */
const TOLD_SECONDS = new Set([0, 1, 2, 5, 10, 15, 20, 30, 45, 60, 90, 120, 150, 180]);

/** The text of a retention run. */
export function retentionLines({ load, lettingGo, steadyState }: RetentionResults): string[] {
  return [
    `${load.perSecond} publishes a second of ${load.batch} events each, whatever the answers do; times from when each was due`,
    '',
    ...lettingGoLines(lettingGo),
    '',
    ...steadyLines(steadyState),
  ];
}

function lettingGoLines(go: LettingGo): string[] {
  const { events, keep, before, during, going, shrinking, sizes, goneAfterS, reachedAfterS } = go;
  const told = sizes.filter(({ seconds }, i) => isTold(seconds) || i === sizes.length - 1);
  return [
    `a policy lets ${whole(events - keep)} of ${whole(events)} events go`,
    ...tableLines([
      ['answers', 'publishes', 'p50 ms', 'p99 ms', 'p99.9 ms', 'max ms'],
      timesRow('before', before),
      timesRow('while it works', during),
      timesRow('  until the events are gone', going),
      timesRow('  while the file shrinks', shrinking),
    ]),
    `held up by ${fine(heldMs(go))} ms at p99.9; the events are gone after ${fine(goneAfterS)} s`,
    '',
    ...tableLines([
      ['after', 'kept', 'file MB', 'log MB', '÷ needed'],
      ...told.map(({ seconds, kept, fileBytes, logBytes, ratio }) => [
        `${Math.round(seconds)} s`,
        whole(kept),
        megabytes(fileBytes),
        megabytes(logBytes),
        fine(ratio!),
      ]),
    ]),
    `needed: ${fine(go.bytesPerEvent)} bytes for each kept event, ${fine(go.bytesPerKey)} for each id and ${megabytes(go.repeatsBytes)} MB for the story of the duplicates, as in the file before;` +
      ` ${fine(RATIO_MAX)} times that ${reachedAfterS === null ? 'was not reached' : `after ${fine(reachedAfterS)} s`}`,
  ];
}

function isTold(seconds: number): boolean {
  return TOLD_SECONDS.has(Math.round(seconds));
}

function timesRow(what: string, { answers, p50Ms, p99Ms, p999Ms, maxMs }: AnswerTimes): string[] {
  const times = [p50Ms, p99Ms, p999Ms, maxMs];
  return [what, whole(answers), ...times.map((ms) => (Number.isNaN(ms) ? NONE : fine(ms)))];
}

function heldMs({ before, during }: LettingGo): number {
  return Math.max(0, during.p999Ms - before.p999Ms);
}

function steadyLines({ maxEvents, ids, minutes, times, sizes }: SteadyState): string[] {
  const every = minutes < 1 ? 1 : 60;
  const told = sizes.filter((_, second) => second % every === 0);
  return [
    `a file under a policy: ${whole(maxEvents)} events are kept, and ids for ${ids}`,
    ...tableLines([
      ['after', 'accepted', 'kept', 'file MB', 'log MB'],
      ...told.map(({ seconds, ids: accepted, kept, fileBytes, logBytes }) => [
        every === 1 ? `${Math.round(seconds)} s` : `${Math.round(seconds / 60)} min`,
        whole(accepted),
        whole(kept),
        megabytes(fileBytes),
        megabytes(logBytes),
      ]),
    ]),
    `the largest size in the last fifth is ${fine(growthOf(sizes))} times that in the second fifth`,
    ...tableLines([
      ['answers', 'publishes', 'p50 ms', 'p99 ms', 'p99.9 ms', 'max ms'],
      timesRow('all along', times),
    ]),
  ];
}

/** The most that file and log took in the last fifth of the time by what they took in the second. */
function growthOf(sizes: readonly FileSize[]): number {
  const most = (fifth: number): number =>
    Math.max(
      ...sizes
        .slice((sizes.length * fifth) / 5, (sizes.length * (fifth + 1)) / 5)
        .map(({ fileBytes, logBytes }) => fileBytes + logBytes),
    );
  return most(4) / most(1);
}

/** The bar for the retention run. */
export function retentionBar({ lettingGo, steadyState }: RetentionResults): BarLine[] {
  const { reachedAfterS } = lettingGo;
  const held = heldMs(lettingGo);
  const growth = growthOf(steadyState.sizes);
  return [
    {
      what: 'publishes held up, ms at p99.9',
      bar: `≤ ${HELD_MS_MAX}`,
      seen: fine(held),
      met: held <= HELD_MS_MAX,
    },
    {
      what: `file at ${RATIO_MAX} times what is kept and the keys, s`,
      bar: `≤ ${REACHED_S_MAX}`,
      seen: reachedAfterS === null ? 'never' : fine(reachedAfterS),
      met: reachedAfterS !== null && reachedAfterS <= REACHED_S_MAX,
    },
    { what: 'growth under a policy', bar: `≤ ${GROWTH_MAX}`, seen: fine(growth), met: growth <= GROWTH_MAX },
  ];
}
