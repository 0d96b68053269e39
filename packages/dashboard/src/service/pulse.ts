import { Course, type Exposition, lookAtBooks, lookAtMetrics, readExposition } from '@chronicleweaver/vitals';
import type { Json } from '../json/exact-json.ts';
import { textIn } from '../json/fields.ts';
import { Watched } from '../watched.ts';
import { Refusal, ask, askJson } from './ask.ts';
import { key, keyAsked } from './key.ts';

/**
 * Asks the service for its counts again and again, as long as the tab is open, and remembers the last quarter of an hour.
 * In: `/metrics`, and `/stats`, which alone tells a key with topics anything. Out: what both said last, and rates.
 *
 * Counters of all time are compared, so a tab that was hidden, or a service that was away, loses nothing: the rate then is the
 * mean of the time between.
 */
const EVERY_MS = 1_000;
/** Nobody looks. */
const HIDDEN_EVERY_MS = 15_000;
/** `/stats` has the names of all topics. */
const STATS_EVERY_MS = 10_000;
export const REMEMBERED_MS = 15 * 60_000;

export interface Pulse {
  readonly stats: Json | undefined;
  /** Undefined if the key may not see it. */
  readonly metrics: Exposition | undefined;
  readonly course: Course;
  /** Counts the answers, so that each is drawn. */
  readonly beats: number;
  /** Why the key may see none of it. */
  readonly refused: string | undefined;
}

let course = new Course(REMEMBERED_MS);

const NOTHING: Pulse = {
  stats: undefined,
  metrics: undefined,
  course,
  beats: 0,
  refused: undefined,
};

export const pulse = new Watched<Pulse>(NOTHING);

let statsAtMs = -Infinity;
let timer: ReturnType<typeof setTimeout> | undefined;
/** Counts the questions. What an older one is answered, perhaps to another key, says less than what the newest one is. */
let begun = 0;

/** Begins, and begins anew with another key. Called once. */
export function startPulse(): void {
  key.watch(() => {
    course = new Course(REMEMBERED_MS);
    statsAtMs = -Infinity;
    pulse.set({ ...NOTHING, course });
    beatNow();
  });
  document.addEventListener('visibilitychange', () => {
    if (!document.hidden) beatNow();
  });
  beatNow();
}

/** Asks at once, for example after something was published. */
export function beatNow(): void {
  clearTimeout(timer);
  timer = undefined;
  void beat();
}

async function beat(): Promise<void> {
  const nth = ++begun;
  const isNewest = (): boolean => nth === begun;
  try {
    // Without a key that is in force each question would only be refused again.
    if (keyAsked.value === undefined) await look(isNewest);
  } catch (error) {
    if (error instanceof Refusal && error.status === 403 && isNewest())
      pulse.set({ ...pulse.value, refused: error.message });
    // What is unreachable, or out of order, is shown by whoever asked.
  } finally {
    if (isNewest()) {
      clearTimeout(timer);
      timer = setTimeout(() => void beat(), document.hidden ? HIDDEN_EVERY_MS : EVERY_MS);
    }
  }
}

async function look(isNewest: () => boolean): Promise<void> {
  const metrics = await metricsSeen();
  const isDue = metrics === undefined || performance.now() - statsAtMs >= STATS_EVERY_MS;
  const stats = isDue ? await askJson('/stats') : pulse.value.stats;
  if (!isNewest()) return;
  if (isDue) statsAtMs = performance.now();
  const now =
    metrics === undefined ? lookAtBooks(booksOf(stats), Date.now()) : lookAtMetrics(metrics, Date.now());
  if (now !== undefined) course.add(now);
  pulse.set({ stats, metrics, course, beats: pulse.value.beats + 1, refused: undefined });
}

function booksOf(stats: Json | undefined): { unique: string; dropped: string; conflicts: string } {
  return {
    unique: textIn(stats, 'unique_processed'),
    dropped: textIn(stats, 'duplicated_dropped'),
    conflicts: textIn(stats, 'conflicts'),
  };
}

/** Undefined if the key has topics, for which there are no metrics, or if the service is of before them. */
async function metricsSeen(): Promise<Exposition | undefined> {
  try {
    const { text } = await ask('/metrics', { accept: 'text/plain' });
    return readExposition(text);
  } catch (error) {
    if (error instanceof Refusal && [403, 404].includes(error.status)) return undefined;
    throw error;
  }
}
