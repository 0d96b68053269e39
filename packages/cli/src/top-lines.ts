import type { Stats } from '@chronicleweaver/client';
import {
  type Course,
  type Exposition,
  grouped,
  rateText,
  sampleText,
  sampleValue,
  secondsText,
  sizeText,
  spanText,
  troublesIn,
} from '@chronicleweaver/vitals';
import { type Terminal, columns, harmless } from './terminal.ts';

/** What the service said last, and what it did since the first look. */
export interface Seen {
  readonly url: string;
  readonly stats: Stats;
  /** When it said that, by the clock of `performance.now()`. */
  readonly statsAtMs: number;
  /** Undefined if the key may not see it. */
  readonly metrics: Exposition | undefined;
  readonly course: Course;
}

/** The time that a rate of the present is the mean of, milliseconds. */
const NOW_MS = 5_000;
/** Of the groups that lag most, so many are shown. */
const GROUPS_SHOWN = 8;
const VERDICTS = ['accepted', 'duplicate', 'conflict'] as const;

/** The overview, a line for each thing, none wider than the terminal. */
export function topLines(terminal: Terminal, seen: Seen): string[] {
  const clipped = (line: string): string =>
    line.length <= terminal.width ? line : `${line.slice(0, terminal.width - 1)}…`;
  const { stats, statsAtMs, url } = seen;
  const uptime = stats.uptime + (performance.now() - statsAtMs) / 1000;
  const store = `${said(stats['store'])} ${said(stats['store_version'])}`.trim();
  const title = `ChronicleWeaver ${stats.version} at ${url}, ${store === '' ? '' : `${store}, `}up ${spanText(uptime)}`;
  return [
    terminal.style('bold', clipped(harmless(title))),
    ...figures(seen).map((line) => clipped(line)),
    ...groupLines(seen).map((line) => clipped(harmless(line))),
    '',
    ...troubleLines(terminal, seen, clipped),
  ];
}

function figures({ stats, metrics, course }: Seen): string[] {
  const ofAll = (verdict: string, otherwise: number | undefined): string => {
    const text = metrics && sampleText(metrics, 'chronicleweaver_store_events_total', { verdict });
    return text ? grouped(text) : otherwise === undefined ? '–' : grouped(String(otherwise));
  };
  const metric = (name: string): string | undefined =>
    metrics && sampleText(metrics, `chronicleweaver_${name}`);
  const count = (text: unknown): string => grouped(said(text)) || '–';
  const bytes = metrics
    ? sampleValue(metrics, 'chronicleweaver_store_bytes')
    : Number(stats['stored_bytes'] ?? NaN);
  const rows = [
    ['events/s', ...VERDICTS.map((name) => `${name} ${rateText(course.mean(name, NOW_MS))}`), bars(course)],
    [
      'of all time',
      `accepted ${ofAll('accepted', stats.unique_processed)}`,
      `duplicate ${ofAll('duplicate', undefined)}`,
      `conflict ${ofAll('conflict', stats.conflicts)}`,
    ],
    [
      'commit',
      `p50 ${secondsText(course.commitSeconds(0.5))}`,
      `p99 ${secondsText(course.commitSeconds(0.99))}`,
    ],
    ['log', `kept ${count(stats.stored)}`, `expired ${count(stats.expired)}`, `disk ${sizeText(bytes)}`],
    [
      'now',
      `followers ${count(metric('followers') ?? stats['followers'])}`,
      `queued ${count(metric('queue_events') ?? stats['queued_events'])}`,
      `last offset ${count(metric('store_last_offset') || stats.last_offset)}`,
    ],
  ];
  return columns(rows);
}

/** What a service tells; one of another version may tell less. */
function said(value: unknown): string {
  return typeof value === 'string' || typeof value === 'number' ? String(value) : '';
}

const BARS = '▁▂▃▄▅▆▇█';

/** What was accepted in the last minute, each look a bar. */
function bars({ rates }: Seen['course']): string {
  const most = Math.max(...rates.map(({ accepted }) => accepted), 0);
  if (most === 0) return '';
  return rates.map(({ accepted }) => BARS[Math.round((accepted / most) * (BARS.length - 1))]).join('');
}

function groupLines({ metrics }: Seen): string[] {
  const lags = metrics?.get('chronicleweaver_group_lag_events') ?? [];
  const lagging = lags
    .filter(({ text }) => text !== '0')
    .toSorted((a, b) => Number(b.text) - Number(a.text))
    .slice(0, GROUPS_SHOWN);
  if (metrics === undefined || lagging.length === 0) return [];
  const rows = lagging.map(({ labels, text }) => {
    const group = labels.get('group') ?? '';
    const of = (name: string): string =>
      grouped(sampleText(metrics, `chronicleweaver_group_${name}`, { group }));
    const ageS = sampleValue(metrics, 'chronicleweaver_group_oldest_unacknowledged_age_seconds', { group });
    return [group, grouped(text), of('in_flight_events'), of('dead_events'), spanText(ageS)];
  });
  return ['', ...columns([['group', 'lag', 'in flight', 'dead', 'oldest waits'], ...rows])];
}

function troubleLines(
  terminal: Terminal,
  { metrics, course }: Seen,
  clipped: (line: string) => string,
): string[] {
  const troubles = troublesIn({
    metrics,
    refusals: course.refusals,
    conflictRate: course.mean('conflict') ?? 0,
  });
  if (troubles.length === 0) {
    return [terminal.style('green', clipped('nothing is wrong that the service could tell'))];
  }
  return troubles.flatMap(({ is, what, todo }) => [
    terminal.style(is === 'bad' ? 'red' : 'yellow', clipped(harmless(`${is}: ${what}`))),
    clipped(harmless(`  ${todo}`)),
  ]);
}

/** The same for programs. */
export function topJson({ url, stats, metrics, course }: Seen): string {
  const { refusals } = course;
  const conflictRate = course.mean('conflict') ?? 0;
  const rate = (name: (typeof VERDICTS)[number]): number | null => course.mean(name) ?? null;
  const ms = (quantile: number): number | null => {
    const seconds = course.commitSeconds(quantile);
    return seconds === undefined ? null : Math.round(seconds * 1e6) / 1000;
  };
  return JSON.stringify({
    url,
    version: stats.version,
    events_per_second: Object.fromEntries(VERDICTS.map((name) => [name, rate(name)])),
    commit_ms: { p50: ms(0.5), p99: ms(0.99) },
    stored: stats.stored,
    expired: stats.expired,
    last_offset: stats.last_offset,
    troubles: troublesIn({ metrics, refusals, conflictRate }).map(({ is, what, todo }) => ({
      is,
      what,
      todo,
    })),
  });
}
