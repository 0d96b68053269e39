import { setTimeout as sleep } from 'node:timers/promises';
import type { Stats } from '@chronicleweaver/client';
import { option, wholeNumber } from '@chronicleweaver/terminal';
import { connect, serviceCommand } from '../service.ts';
import { type Terminal, columns } from '../terminal.ts';

/** `chronicleweaver stats`: the books, once or as they change. */
export function statsCommand(terminal: Terminal) {
  return serviceCommand('stats', "Print the service's books", [
    'stats',
    'stats --watch',
    'stats --watch 10 --json',
  ])
    .addOption(option('--watch [seconds]', 'repeat, by default every second', wholeNumber(1)))
    .action(async ({ watch, ...service }) => {
      const { signal } = terminal;
      const chronicle = connect(service, watch === undefined ? {} : { retryMs: Infinity });
      let last: Taken | undefined;
      for (;;) {
        const taken = { stats: await chronicle.stats({ signal }), atMs: performance.now() };
        const perSecond = last === undefined ? undefined : rate(last, taken);
        if (service.json) await terminal.line(JSON.stringify(taken.stats));
        else if (watch === undefined) await terminal.lines(page(taken.stats));
        else if (terminal.isTerminal)
          await terminal.redraw([...page(taken.stats), ...page({ 'stored/s': perSecond ?? 0 })]);
        else await terminal.line(brief(taken.stats, perSecond));
        if (watch === undefined) return;
        last = taken;
        await sleep((watch === true ? 1 : watch) * 1000, undefined, { signal });
      }
    });
}

interface Taken {
  readonly stats: Stats;
  readonly atMs: number;
}

/** Events stored per second. */
function rate(last: Taken, now: Taken): number {
  return Math.round(
    ((now.stats.unique_processed - last.stats.unique_processed) * 1000) / (now.atMs - last.atMs),
  );
}

/** A line for each number, and only the count of the topics. */
function page(stats: Readonly<Record<string, unknown>>): string[] {
  return columns(
    Object.entries(stats).map(([name, value]) => {
      if (Array.isArray(value)) return [name, value.length];
      return [name, typeof value === 'number' ? value : String(value)];
    }),
  );
}

function brief(stats: Stats, perSecond: number | undefined): string {
  const { received, unique_processed: unique, duplicated_dropped: dropped } = stats;
  const books =
    received === undefined
      ? `unique ${unique}`
      : `received ${received}, unique ${unique}, dropped ${dropped}`;
  return `${new Date().toISOString()} ${books}${perSecond === undefined ? '' : `, ${perSecond} stored/s`}`;
}
