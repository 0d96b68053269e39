import type { Commits } from '../commits/commits.ts';
import type { GroupView, Groups } from '../groups/groups.ts';
import type { EventPage, EventStore } from '../store/event-store.ts';
import { type Exposition, labels } from './exposition.ts';
import { Paced } from './paced.ts';
import type { Section } from './section.ts';

interface Parts {
  readonly store: EventStore;
  readonly commits: Commits;
  readonly groups: Groups;
}

interface GroupNow extends GroupView {
  readonly labels: string;
  /** When the oldest event that is neither acknowledged nor dead was committed; null if there is none. */
  readonly oldestMs: number | null;
}

type Family = readonly [name: string, help: string, value: (group: GroupNow) => number];

const GAUGES: readonly Family[] = [
  [
    'lag_events',
    'Events of the group that are yet to be acknowledged: kept ones, and those that a worker has.',
    ({ lag }) => lag,
  ],
  ['in_flight_events', 'Of these, events that are leased to a worker.', ({ leased }) => leased],
  ['returned_events', 'Of these, events that are to be delivered again.', ({ returned }) => returned],
  ['dead_events', 'Events that were delivered as often as allowed.', ({ dead }) => dead],
  [
    'expired_events',
    'Events whose text was gone before the group had finished them, since it was created.',
    ({ expired }) => expired,
  ],
  [
    'oldest_unacknowledged_age_seconds',
    'Time since the commit of the oldest event that is neither acknowledged nor dead; 0 if there is none.',
    ({ oldestMs }) => (oldestMs === null ? 0 : Math.max(0, Date.now() - oldestMs) / 1000),
  ],
];

const COUNTERS: readonly Family[] = [
  ['deliveries_total', 'Deliveries of the group of all time.', ({ deliveries }) => deliveries],
  [
    'redeliveries_total',
    'Of these, deliveries that were not the first of their event.',
    ({ redeliveries }) => redeliveries,
  ],
  ['acknowledged_events_total', 'Events acknowledged of all time.', ({ acknowledged }) => acknowledged],
];

const WEBHOOK_GAUGES: readonly Family[] = [
  [
    'webhook_failing',
    '1 if the last attempt to send an event of the group failed.',
    ({ push }) => (push?.lastFailure === null ? 0 : 1),
  ],
  [
    'webhook_paused',
    '1 if the webhook is paused: nothing is sent until it is resumed.',
    ({ push }) => ((push?.pausedBy ?? null) === null ? 0 : 1),
  ],
  [
    'webhook_paused_on_request',
    '1 if it is paused because somebody asked for it.',
    ({ push }) => (push?.pausedBy === 'request' ? 1 : 0),
  ],
];

const SHARED = 'The same from every process on this store: take the maximum, not the sum.';

/** How each group comes along, for all processes on the store. */
export class GroupFigures implements Section {
  readonly part = 'groups';
  readonly #paced: Paced<GroupNow[]>;
  #figures: readonly GroupNow[] = [];

  constructor({ store, commits, groups }: Parts) {
    this.#paced = new Paced(async () => {
      const figures: GroupNow[] = [];
      for (const view of await groups.list(() => true, commits.lastOffset)) {
        const oldestMs = view.lag === 0 ? null : await oldestMsOf(store, view);
        figures.push({ ...view, labels: labels({ group: view.definition.name }), oldestMs });
      }
      return figures;
    });
  }

  async read(): Promise<boolean> {
    const figures = await this.#paced.value();
    this.#figures = figures ?? [];
    return figures !== null;
  }

  async write(out: Exposition): Promise<void> {
    const figures = this.#figures;
    out.gauge('chronicleweaver_groups', `Groups. ${SHARED}`, figures.length);
    const pushed = figures.filter(({ push }) => push !== null);
    for (const [kind, families, meant] of [
      ['gauge', GAUGES, figures],
      ['counter', COUNTERS, figures],
      ['gauge', WEBHOOK_GAUGES, pushed],
    ] as const) {
      for (const [name, help, value] of families) {
        out[kind](`chronicleweaver_group_${name}`, `${help} ${SHARED}`, samples(meant, value));
        await out.pause();
      }
    }
  }
}

function* samples(
  figures: readonly GroupNow[],
  value: (group: GroupNow) => number,
): Generator<[string, number]> {
  for (const group of figures) yield [group.labels, value(group)];
}

/** No event of the group lies between its cursor and its oldest outstanding event, so that is the next one. */
async function oldestMsOf(store: EventStore, { cursor, definition }: GroupView): Promise<number | null> {
  let after: number | null = cursor;
  while (after !== null) {
    const page: EventPage = await store.read({
      topicPatterns: [definition.topics],
      order: 'asc',
      after,
      upTo: Number.MAX_SAFE_INTEGER,
      eventsMax: 1,
      framing: 'lines',
    });
    if (page.count > 0) return receivedMsIn(page.bytes);
    after = page.resumeAfter;
  }
  return null;
}

/** The event may be large, and `received_at` is its last member (stored-event.ts). */
function receivedMsIn(line: Uint8Array): number {
  const end = Buffer.from(line.subarray(-TAIL_BYTES)).toString('latin1');
  return Date.parse(end.slice(end.lastIndexOf(RECEIVED_AT) + RECEIVED_AT.length, end.lastIndexOf('"')));
}

const RECEIVED_AT = '"received_at":"';
const TAIL_BYTES = 64;
