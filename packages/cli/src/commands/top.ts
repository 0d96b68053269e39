import { setTimeout as sleep } from 'node:timers/promises';
import { type ChronicleWeaver, ChronicleWeaverError, ProblemError } from '@chronicleweaver/client';
import { option, wholeNumber } from '@chronicleweaver/terminal';
import { Course, type Exposition, lookAtBooks, lookAtMetrics, readExposition } from '@chronicleweaver/vitals';
import { connect, serviceCommand } from '../service.ts';
import { type Terminal, harmless } from '../terminal.ts';
import { type Seen, topJson, topLines } from '../top-lines.ts';

/** What the line of small bars reaches back to, milliseconds. */
const REMEMBERED_MS = 60_000;
/** `/stats` has the names of all topics: where there are metrics, they tell what changes quickly. */
const STATS_EVERY_MS = 10_000;

/** `chronicleweaver top`: the overview, again and again in a terminal, and once where nobody watches. */
export function topCommand(terminal: Terminal) {
  return serviceCommand('top', 'Show what comes in, how long commits take, and what is wrong now', [
    'top',
    'top --every 5',
    'top | cat',
    'top --json',
  ])
    .addOption(
      option('--every <seconds>', 'how often it is shown anew in a terminal', wholeNumber(1)).default(1),
    )
    .action(async ({ every, ...service }) => {
      const { signal } = terminal;
      const chronicle = connect(service);
      const course = new Course(REMEMBERED_MS);
      const { url } = service;
      if (!terminal.isTerminal || service.json === true) {
        // There is a rate only between two looks.
        await lookAt(chronicle, course, signal);
        await sleep(1000, undefined, { signal });
        const seen = { ...(await lookAt(chronicle, course, signal)), url };
        await terminal.lines(service.json === true ? [topJson(seen)] : topLines(terminal, seen));
        return;
      }
      let last = await lookAt(chronicle, course, signal);
      let away: string | undefined;
      for (;;) {
        const lines = topLines(terminal, { ...last, url });
        await terminal.redraw(away === undefined ? lines : [terminal.style('red', away), ...lines]);
        await sleep(every * 1000, undefined, { signal });
        try {
          last = await lookAt(chronicle, course, signal, last);
          away = undefined;
        } catch (error) {
          // It may come back, and what was shown last may be what somebody looks for.
          if (!(error instanceof ChronicleWeaverError && error.retryable)) throw error;
          away = harmless(error.message).slice(0, terminal.width);
        }
      }
    });
}

type Look = Omit<Seen, 'url'>;

async function lookAt(
  chronicle: ChronicleWeaver,
  course: Course,
  signal: AbortSignal,
  last?: Look,
): Promise<Look> {
  const metrics = await metricsOf(chronicle, signal);
  const isFresh = last !== undefined && performance.now() - last.statsAtMs < STATS_EVERY_MS;
  const { stats, statsAtMs } =
    isFresh && metrics !== undefined
      ? last
      : { stats: await chronicle.stats({ signal }), statsAtMs: performance.now() };
  const text = (value: number | undefined): string => (value === undefined ? '' : String(value));
  const books = {
    unique: text(stats.unique_processed),
    dropped: text(stats.duplicated_dropped),
    conflicts: text(stats.conflicts),
  };
  const atMs = Date.now();
  const now = metrics === undefined ? lookAtBooks(books, atMs) : lookAtMetrics(metrics, atMs);
  if (now !== undefined) course.add(now);
  return { stats, statsAtMs, metrics, course };
}

/** Undefined for a key with topics, and for a service that is older than its metrics. */
async function metricsOf(chronicle: ChronicleWeaver, signal: AbortSignal): Promise<Exposition | undefined> {
  try {
    return readExposition(await chronicle.metrics({ signal }));
  } catch (error) {
    if (error instanceof ProblemError && (error.status === 403 || error.status === 404)) return undefined;
    throw error;
  }
}
