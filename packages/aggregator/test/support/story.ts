import type { EventStore } from '../../src/store/event-store.ts';
import type { Conflict, RepeatStore } from '../../src/store/repeat-store.ts';
import { batchOf, eventWith } from './events.ts';
import type { TestClock } from './stores.ts';

const SECOND_MS = 1000;
const HOUR_MS = 3_600_000;
const STORY_TOPICS = ['orders.eu', 'orders.us', 'hooks', 'bäder'];
const STORY_SOURCES = ['web', 'app', 'tür "1"'];

/** Events of all these topics. */
const STORY_EVENTS = STORY_TOPICS.flatMap((topic) =>
  Array.from({ length: 8 }, (_, i) => eventWith({ topic, event_id: `${topic} ${i}` })),
);

/** Stores the events of the story. */
export async function begun(store: EventStore): Promise<void> {
  await store.append([batchOf(...STORY_EVENTS)]);
}

/** Some events come again, later and later, with and without a key, and some with other content. */
export async function repeated(store: EventStore, clock: TestClock, rounds: number): Promise<void> {
  for (let round = 1; round <= rounds; round++) {
    clock.ms += round * round * 40 * SECOND_MS;
    const again = STORY_EVENTS.filter((_, i) => i % (round + 1) === 0).map((event, i) => {
      const source = STORY_SOURCES[(i + round) % STORY_SOURCES.length]!;
      return { ...event, source, payload: round % 2 === 0 ? event.payload : { round } };
    });
    const batch = batchOf(...again);
    await store.append([round % 3 === 0 ? batch : { ...batch, publisher: `key ${round % 2}` }]);
  }
}

async function conflictsIn(repeats: RepeatStore): Promise<Conflict[]> {
  const conflicts: Conflict[] = [];
  for (let before: number | null = null; ;) {
    const page = await repeats.conflicts({ before, limit: 7 });
    conflicts.push(...page.conflicts);
    if (page.next === null) return conflicts;
    before = page.next;
  }
}

/** Everything that a store tells of repeats. */
export async function storyIn(store: EventStore, clock: TestClock) {
  const { repeats } = store;
  const ages = [await repeats.ages({})];
  for (const topic of STORY_TOPICS) ages.push(await repeats.ages({ topic }));
  for (const source of STORY_SOURCES) ages.push(await repeats.ages({ source }));
  const repeaters = [];
  for (const by of ['topic', 'source'] as const) {
    for (const sinceMs of [null, clock.ms - HOUR_MS, clock.ms - 24 * HOUR_MS])
      repeaters.push(await repeats.repeaters({ by, sinceMs, limit: 10 }));
    repeaters.push(await repeats.repeaters({ by, sinceMs: null, limit: 10, topic: 'hooks' }));
  }
  const histories = [];
  for (const { topic, event_id: id } of STORY_EVENTS) histories.push(await repeats.history(topic, id));
  return { ages, repeaters, conflicts: await conflictsIn(repeats), histories };
}
