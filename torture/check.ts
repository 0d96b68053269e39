import type { AggregatorProcess } from '../lab/aggregator-process.ts';
import { eventLines } from '../lab/event-lines.ts';
import type { SeededRandom } from '../lab/random.ts';
import { type Account, expectSame } from './account.ts';
import { BrokenPromise } from './broken-promise.ts';
import type { Events } from './events.ts';

const SAMPLE_PAGES = 10;
const SAMPLE_PAGE_EVENTS = 50;
const SAMPLE_EVENTS = 20;

/**
 * Compares a service to which nobody publishes with the account: everything that is new, a sample of the rest, and the
 * books. Throws a BrokenPromise.
 */
export async function checkService(
  service: AggregatorProcess,
  account: Account,
  events: Events,
  random: SeededRandom,
): Promise<void> {
  const oldTo = account.readTo;
  await readNew(service, account);
  account.settle();
  await checkBooks(service, account);
  await readSample(service, account, events, random, oldTo);
}

/** The same, but with every event, in one read and topic by topic, instead of a sample. */
export async function checkWhole(service: AggregatorProcess, account: Account): Promise<void> {
  await readNew(service, account);
  account.settle();
  await checkBooks(service, account);
  expectSame('events in the whole log', account.stored, await readInOrder(service, account, '/events'));
  for (const [topic, stored] of account.storedByTopic) {
    const path = `/events?topic=${encodeURIComponent(topic)}`;
    expectSame(`events of ${topic}`, stored, await readInOrder(service, account, path));
  }
}

async function readNew(service: AggregatorProcess, account: Account): Promise<void> {
  const before = account.stored;
  const count = await readInOrder(service, account, `/events?after=${account.readTo}`);
  expectSame('events behind what was read before that are new', count, account.stored - before);
}

/** Reads an answer to its end, checks its order, and returns how many events it has. */
async function readInOrder(service: AggregatorProcess, account: Account, path: string): Promise<number> {
  let last = 0;
  let count = 0;
  try {
    for await (const line of eventLines(service.url, path)) {
      const offset = account.offsetOf(account.read(line));
      if (offset <= last) throw new BrokenPromise(`an offset above ${last} in ${path}`, line);
      last = offset;
      count += 1;
    }
  } catch (error) {
    if (error instanceof BrokenPromise) throw error;
    throw new BrokenPromise(`a whole answer to ${path}`, String(error));
  }
  account.readTo = Math.max(account.readTo, last);
  return count;
}

async function checkBooks(service: AggregatorProcess, account: Account): Promise<void> {
  const stats = await service.stats();
  const { received, unique_processed: stored, duplicated_dropped: dropped } = stats;
  expectSame('received in the books, of stored and dropped,', stored + dropped, received);
  expectSame('unique_processed in the books', account.stored, stored);
  expectSame('last_offset in the books', account.readTo, stats.last_offset);
  const { answeredEvents: least, unansweredEvents } = account;
  if (received < least || received > least + unansweredEvents)
    throw new BrokenPromise(
      `${least} to ${least + unansweredEvents} events received in the books`,
      `${received}`,
    );
  const { topics } = await service.get<{ topics: { topic: string; events: number }[] }>('/topics');
  expectSame('topics', account.storedByTopic.size, topics.length);
  for (const { topic, events } of topics)
    expectSame(`events of ${topic}`, account.storedByTopic.get(topic), events);
}

async function readSample(
  service: AggregatorProcess,
  account: Account,
  events: Events,
  random: SeededRandom,
  oldTo: number,
): Promise<void> {
  if (oldTo === 0) return;
  for (let page = 0; page < SAMPLE_PAGES; page++) {
    const after = random.whole(0, oldTo - 1);
    const topic = random.chance(0.5) ? '' : `&topic=${events.topic(random.whole(0, account.count - 1))}`;
    await readInOrder(service, account, `/events?after=${after}&limit=${SAMPLE_PAGE_EVENTS}${topic}`);
  }
  for (let i = 0; i < SAMPLE_EVENTS; i++) {
    const k = random.whole(0, account.count - 1);
    const text = events.text(k);
    const { event_id: eventId, topic } = JSON.parse(text) as { event_id: string; topic: string };
    const response = await fetch(`${service.url}/events/${topic}/${eventId}`);
    expectSame(`GET of event ${k}`, account.offsetOf(k) === 0 ? 404 : 200, response.status);
    const body = await response.text();
    if (response.status === 200) expectSame(`the number of event ${k}`, k, account.read(body));
  }
}
