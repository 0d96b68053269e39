import { TEXT, listOption, oneOf, option, wholeNumber } from '@chronicleweaver/terminal';
import { type ServiceOptions, connect, serviceCommand } from '../service.ts';
import { type Terminal, columns, harmless } from '../terminal.ts';

interface Entry {
  readonly at: string;
  readonly action: string;
  readonly topic: string | null;
  readonly event_id: string | null;
  readonly offset: number | null;
  readonly key: string | null;
  readonly group?: string;
  readonly [detail: string]: unknown;
}

interface Page {
  readonly entries: readonly Entry[];
  readonly next: number | null;
}

type Counts = Readonly<Record<string, number>>;

interface Summary {
  readonly counts: Counts;
  readonly periods?: readonly { readonly at: string; readonly counts: Counts }[];
}

const PAGE_ENTRIES = 1000;

/** What has a place of its own in a line. */
const PLACED = new Set(['number', 'at', 'action', 'topic', 'event_id', 'offset', 'key', 'group']);

/** `chronicleweaver audit`: the trail, a page at a time, so that any amount fits through a pipe; or its counts. */
export function auditCommand(terminal: Terminal) {
  return serviceCommand('audit', 'Print the audit trail, the newest entries first', [
    'audit --action erased --action truncated --from 2026-01-01',
    'audit --topic orders --event-id order-4711-placed',
    'audit --json --limit 100000 > trail.ndjson',
    'audit --summary --by day',
  ])
    .addOption(listOption('--action <action>', 'only these; may be repeated', TEXT))
    .addOption(
      listOption(
        '--topic <pattern>',
        'only about these topics: * matches a word between dots, > at the end all remaining words; may be repeated',
        TEXT,
      ),
    )
    .option('--event-id <id>', 'only about this event, with one --topic')
    .option('--from <time>', 'only at or after this time, ISO 8601')
    .option('--to <time>', 'only before this time')
    .addOption(option('--limit <count>', 'at most this many', wholeNumber(1)).default(100))
    .option('--summary', 'count the entries of each action in place of printing them')
    .addOption(option('--by <period>', 'with --summary: count by hours or days', oneOf(['hour', 'day'])))
    .addHelpText(
      'after',
      '\nThe service must have been started with AUDIT=true; the key needs the scope admin.',
    )
    .action(async ({ action, topic, eventId, from, to, limit, summary, by, ...service }) => {
      if (summary === true) return printSummary(terminal, service, { from, to, by });
      const query = { action, topic, event_id: eventId, from, to };
      for await (const entry of entriesOf(terminal, service, query, limit)) {
        await terminal.line(service.json ? JSON.stringify(entry) : lineOf(terminal, entry));
      }
    });
}

type Query = NonNullable<NonNullable<Parameters<ReturnType<typeof connect>['request']>[2]>['query']>;

async function* entriesOf(
  terminal: Terminal,
  service: ServiceOptions,
  query: Query,
  limit: number,
): AsyncGenerator<Entry> {
  const client = connect(service);
  let left = limit;
  let before: number | undefined;
  while (left > 0) {
    const { entries, next } = (await client.request('GET', '/audit', {
      query: { ...query, before, limit: Math.min(left, PAGE_ENTRIES) },
      signal: terminal.signal,
    })) as Page;
    yield* entries;
    left -= entries.length;
    if (next === null) return;
    before = next;
  }
}

/** Time, action, event, whose doing it was, and what else is told. */
function lineOf(terminal: Terminal, entry: Entry): string {
  const { at, action, topic, event_id: eventId, offset, key, group } = entry;
  const event = [topic, eventId, offset === null ? null : `@${offset}`];
  const who = group === undefined ? key : `group ${group}`;
  const details = Object.entries(entry)
    .filter(([name]) => !PLACED.has(name))
    .map(([name, value]) => `${name}=${typeof value === 'string' ? value : JSON.stringify(value)}`);
  const rest = [...event, who === null ? null : `by ${who}`, ...details].filter((part) => part !== null);
  return [at, terminal.style('bold', action), ...rest.map(harmless)].join(' ');
}

async function printSummary(terminal: Terminal, service: ServiceOptions, query: Query): Promise<void> {
  const { signal } = terminal;
  const summary = (await connect(service).request('GET', '/audit/summary', { query, signal })) as Summary;
  if (service.json) return terminal.line(JSON.stringify(summary));
  const { counts, periods } = summary;
  const actions = Object.keys(counts).filter((action) => counts[action]! > 0);
  if (periods === undefined)
    return terminal.lines(columns(actions.map((action) => [action, counts[action]!])));
  const head = ['FROM', ...actions.map((action) => action.toUpperCase())];
  const rows = periods.map(({ at, counts: some }) => [at, ...actions.map((action) => some[action]!)]);
  await terminal.table(head, rows);
}
