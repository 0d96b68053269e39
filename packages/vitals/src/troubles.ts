import { countOf } from './figures.ts';
import { type Exposition, sampleValue, samplesBy } from './exposition.ts';

/** What is wrong now, in words, and what to do. */
export interface Trouble {
  readonly is: 'bad' | 'worth a look';
  readonly what: string;
  readonly todo: string;
  /** The page that tells more, and its query. */
  readonly page?: string;
}

export interface Signs {
  readonly metrics: Exposition | undefined;
  /** Refusals of the last minute by code. */
  readonly refusals: ReadonlyMap<string, number>;
  /** Conflicts per second, the mean of the last minute. */
  readonly conflictRate: number;
}

/** An event that waits for longer is worth a look, seconds. */
const OLD_S = 300;
/** A queue, or the places of live streams, filled to more than this share. */
const NEARLY_FULL = 0.8;
const WAL_BYTES_MUCH = 256 * 1024 * 1024;

/** The worst first. */
export function troublesIn({ metrics, refusals, conflictRate }: Signs): Trouble[] {
  const found = [...refusalTroubles(refusals)];
  if (metrics !== undefined) {
    found.push(...storeTroubles(metrics), ...fullTroubles(metrics), ...groupTroubles(metrics));
  }
  if (conflictRate > 0) {
    found.push({
      is: 'worth a look',
      what: 'Different events come under the same id: conflicts. The first one is kept, the others are dropped.',
      todo: 'Find the publisher that gives two events one id. Live shows what is accepted, Look up what is kept.',
      page: 'duplicates',
    });
  }
  return found.toSorted((a, b) => Number(a.is !== 'bad') - Number(b.is !== 'bad'));
}

const OF_REFUSALS: Readonly<
  Record<string, Omit<Trouble, 'what'> & { readonly what: (count: number) => string }>
> = {
  store_unavailable: {
    is: 'bad',
    what: (count) =>
      `${times(count)} in the last minute the store could not commit; nothing was lost, publishers retry.`,
    todo: 'Look at the log of the service: most likely the disk is full, or the database does not answer.',
  },
  store_damaged: {
    is: 'bad',
    what: (count) =>
      `${times(count)} in the last minute stored events could not be read: the disk or the file is at fault.`,
    todo: 'Stop the service and run `npm run verify -- FILE`; restore from a backup what it names.',
  },
  internal_error: {
    is: 'bad',
    what: (count) => `${times(count)} in the last minute a request failed for a reason that nobody foresaw.`,
    todo: 'The log of the service has the reason: report it.',
  },
  queue_full: {
    is: 'bad',
    what: (count) =>
      `${times(count)} in the last minute a publish was refused, because more comes in than the disk takes.`,
    todo: 'Publishers retry by themselves. If it lasts: larger batches, a faster disk, or PostgreSQL with more instances.',
  },
  readers_full: {
    is: 'worth a look',
    what: (count) =>
      `${times(count)} in the last minute a reader was refused: the answers under way fill their room.`,
    todo: 'Ask for pages with a smaller `limit`, or raise READ_BYTES_MAX.',
  },
  followers_full: {
    is: 'worth a look',
    what: (count) => `${times(count)} in the last minute a live stream found no place.`,
    todo: 'Raise FOLLOWERS_MAX, or start another instance on the same PostgreSQL.',
  },
  rate_limited: {
    is: 'worth a look',
    what: (count) => `${times(count)} in the last minute a key had used up its rate.`,
    todo: 'The publisher retries. If it is meant to send that much, give its key a higher rate.',
  },
  unauthorized: {
    is: 'worth a look',
    what: (count) => `${times(count)} in the last minute somebody came without a key that is in force.`,
    todo: 'A client with a revoked or mistyped key: `npm run keys -- list` shows which are in force.',
  },
  invalid_event: {
    is: 'worth a look',
    what: (count) =>
      `${times(count)} in the last minute a publish was refused because an event in it is not as it must be.`,
    todo: 'Its publisher is told which event and which field; look at what it logs.',
  },
};

function refusalTroubles(refusals: ReadonlyMap<string, number>): Trouble[] {
  return [...refusals].flatMap(([code, count]) => {
    const known = OF_REFUSALS[code];
    return known === undefined ? [] : [{ ...known, what: known.what(count) }];
  });
}

function storeTroubles(metrics: Exposition): Trouble[] {
  const found: Trouble[] = [];
  const untold = (metrics.get('chronicleweaver_metrics_part_up') ?? []).filter(({ text }) => text === '0');
  if (untold.length > 0) {
    const parts = untold.map(({ labels }) => labels.get('part')).join(', ');
    found.push({
      is: 'bad',
      what: `The store did not tell its figures in time (${parts}), so what is shown here may be missing or old.`,
      todo: 'Its disk or database is slow or away: see the log of the service.',
    });
  }
  if (sampleValue(metrics, 'chronicleweaver_store_wal_bytes') > WAL_BYTES_MUCH) {
    found.push({
      is: 'worth a look',
      what: `The write-ahead log has grown to ${Math.round(sampleValue(metrics, 'chronicleweaver_store_wal_bytes') / 1e6)} MB.`,
      todo: 'It is folded into the file when the disk keeps up; a backup or a long read may hold it for a while.',
    });
  }
  return found;
}

function fullTroubles(metrics: Exposition): Trouble[] {
  const found: Trouble[] = [];
  const share = (used: string, limit: string): number =>
    sampleValue(metrics, used) / sampleValue(metrics, limit) || 0;
  const queue = Math.max(
    share('chronicleweaver_queue_events', 'chronicleweaver_queue_limit_events'),
    share('chronicleweaver_queue_bytes', 'chronicleweaver_queue_limit_bytes'),
  );
  if (queue > NEARLY_FULL) {
    found.push({
      is: 'worth a look',
      what: `The queue is ${Math.round(queue * 100)} % full: publishes come in faster than they can be committed.`,
      todo: 'If it fills, publishers get 503 and retry. Larger batches and a faster disk help.',
    });
  }
  if (share('chronicleweaver_followers', 'chronicleweaver_followers_limit') > NEARLY_FULL) {
    found.push({
      is: 'worth a look',
      what: 'Nearly all places for live streams are taken.',
      todo: 'Raise FOLLOWERS_MAX, or start another instance on the same PostgreSQL.',
    });
  }
  if (share('process_open_fds', 'process_max_fds') > NEARLY_FULL) {
    found.push({
      is: 'bad',
      what: 'The process has nearly as many files and connections open as the system allows.',
      todo: 'Raise the limit (`ulimit -n`, LimitNOFILE), or find out who holds so many connections.',
    });
  }
  return found;
}

const GROUP_FIGURES = [
  'lag_events',
  'in_flight_events',
  'dead_events',
  'oldest_unacknowledged_age_seconds',
  'webhook_failing',
  'webhook_paused',
  'webhook_paused_on_request',
] as const;

function groupTroubles(metrics: Exposition): Trouble[] {
  const found: Trouble[] = [];
  const figures = new Map(
    GROUP_FIGURES.map((name) => [name, samplesBy(metrics, `chronicleweaver_group_${name}`, 'group')]),
  );
  for (const { labels } of metrics.get('chronicleweaver_group_lag_events') ?? []) {
    const group = labels.get('group') ?? '';
    const page = `groups?name=${encodeURIComponent(group)}`;
    const text = (name: (typeof GROUP_FIGURES)[number]): string => figures.get(name)?.get(group) ?? '';
    const value = (name: (typeof GROUP_FIGURES)[number]): number => Number(text(name) || '0');
    const isStuck = value('webhook_paused') > 0 || value('webhook_failing') > 0;
    if (value('webhook_paused_on_request') > 0) {
      found.push({
        is: 'worth a look',
        what: `The webhook ${group} was paused by somebody: ${waiting(text('lag_events'))}.`,
        todo: 'Its page resumes it.',
        page,
      });
    } else if (value('webhook_paused') > 0) {
      found.push({
        is: 'bad',
        what: `The webhook ${group} is paused after a day of failures: ${waiting(text('lag_events'))}.`,
        todo: 'Mend its target, then resume it.',
        page,
      });
    } else if (value('webhook_failing') > 0) {
      found.push({
        is: 'worth a look',
        what: `The last attempt of the webhook ${group} failed; it is tried again by itself.`,
        todo: 'Its page says how it failed.',
        page,
      });
    }
    if (value('dead_events') > 0) {
      found.push({
        is: 'bad',
        what: `${countOf(text('dead_events'), 'event', 'events')} of ${group} died: delivered as often as allowed, and never acknowledged.`,
        todo: 'See why its workers fail on them, then replay them.',
        page,
      });
    }
    const oldS = value('oldest_unacknowledged_age_seconds');
    // Of a webhook that is stuck it was said above.
    if (oldS > OLD_S && !isStuck) {
      const isIdle = value('in_flight_events') === 0;
      found.push({
        is: 'worth a look',
        what: `${group} lags: ${waiting(text('lag_events'))}, the oldest for ${Math.floor(oldS / 60)} minutes${isIdle ? ', and nobody works on it' : ''}.`,
        todo: isIdle ? 'Are its workers running?' : 'More workers, or quicker ones.',
        page,
      });
    }
  }
  return found;
}

function waiting(lag: string): string {
  return countOf(lag, 'event waits', 'events wait');
}

function times(count: number): string {
  return count === 1 ? 'Once' : `${count} times`;
}
