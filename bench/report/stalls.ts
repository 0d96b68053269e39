import type { BarLine, StallRow, StallsResults } from '../results.ts';
import { fine, tableLines, whole } from './table.ts';

/** The bar, milliseconds at the 99.9th percentile. */
const HELD_MS_MAX = 50;

const SPREAD = ['p50', 'p99', 'p99.9', 'max'];

export function stallsLines({ sizes }: StallsResults): string[] {
  return [
    ...tableLines([
      [
        '',
        'commits',
        'took, ms',
        '',
        '',
        '',
        'held up, ms',
        '',
        '',
        '',
        'its processor time, ms',
        '',
        '',
        '',
      ],
      ['', '', ...SPREAD, ...SPREAD, ...SPREAD],
      ...sizes.flatMap(({ batch, rows }) => [[`commits of ${whole(batch)} events`], ...rows.map(row)]),
    ]),
    'held up: by the steps of sealing and merging within the commit. What a commit has beside its own events is told',
    'by rows; one with two things is in both. A checkpoint brings the log (WAL) into the file; another thread does it.',
  ];
}

function row({ what, commits, tookMs, heldMs, heldCpuMs }: StallRow): string[] {
  const spreads = [tookMs, heldMs, heldCpuMs].flatMap(({ p50, p99, p999, max }) => [p50, p99, p999, max]);
  return [`  ${what}`, whole(commits), ...spreads.map(fine)];
}

export function stallsBar({ sizes }: StallsResults): BarLine[] {
  return sizes.map(({ batch, rows }) => {
    const { p999 } = rows[0]!.heldMs;
    return {
      what: `commits of ${whole(batch)} events held up, ms at p99.9`,
      bar: `≤ ${fine(HELD_MS_MAX)}`,
      seen: fine(p999),
      met: p999 <= HELD_MS_MAX,
    };
  });
}
