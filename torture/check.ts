import type { AggregatorProcess } from '../lab/aggregator-process.ts';
import { eventLines } from '../lab/event-lines.ts';
import type { SeededRandom } from '../lab/random.ts';
import { type Account, expectSame } from './account.ts';
import { BrokenPromise } from './broken-promise.ts';
import type { Events } from './events.ts';
import {
  areObeyed,
  comparePages,
  compareTopics,
  resolveErasures,
  resolvePublishes,
} from './letting-go/check.ts';
import { changeBound } from './letting-go/deleter.ts';
import { fateOf } from './letting-go/topics.ts';

const SAMPLE_PAGES = 10;
const SAMPLE_PAGE_EVENTS = 50;
const SAMPLE_EVENTS = 20;

const READ_TRIES = 5;

/** A policy is obeyed within a second of a start; where many instances share a log, half a minute after its keeper was killed. */
const OBEYED_WITHIN_MS = 45_000;

/**
 * Compares a service to which nobody publishes with the account: everything that is new, what is let go of, a sample of the rest,
 * and the books. Throws a BrokenPromise.
 *
 * @param obeyedWithinMs how long the service may take to obey the policies; if it takes longer, what they let go of is compared
 * another time
 */
export async function checkService(
  service: AggregatorProcess,
  account: Account,
  events: Events,
  random: SeededRandom,
  obeyedWithinMs = OBEYED_WITHIN_MS,
): Promise<void> {
  const oldTo = account.readTo;
  const isObeyed = await checkNew(service, account, events, obeyedWithinMs);
  if (!isObeyed && obeyedWithinMs >= OBEYED_WITHIN_MS)
    throw new BrokenPromise(`the policies obeyed within ${obeyedWithinMs} ms`, 'events beyond the bound');
  await readSample(service, account, events, random, oldTo);
}

/** The same, but with every event, in one read and topic by topic, instead of a sample. */
export async function checkWhole(
  service: AggregatorProcess,
  account: Account,
  events: Events,
  random: SeededRandom,
): Promise<void> {
  if (!events.areKept) await changeBound(service.port, account, random);
  if (!(await checkNew(service, account, events, OBEYED_WITHIN_MS)))
    throw new BrokenPromise(`the policies obeyed within ${OBEYED_WITHIN_MS} ms`, 'events beyond the bound');
  let kept = 0;
  for (const topic of account.storedByTopic.keys()) {
    const path = `/events?topic=${encodeURIComponent(topic)}`;
    const keptOf = keptOn(account, topic);
    expectSame(`events of ${topic}`, keptOf, await readInOrder(service, account, path));
    kept += keptOf;
  }
  expectSame('events in the whole log', kept, await readInOrder(service, account, '/events'));
  await comparePages(service, account);
}

/** Whether the policies are obeyed, so that all counts could be compared. */
async function checkNew(
  service: AggregatorProcess,
  account: Account,
  events: Events,
  obeyedWithinMs: number,
): Promise<boolean> {
  await resolveErasures(service, account, events);
  const isObeyed = events.areKept || (await areObeyed(service, account, obeyedWithinMs));
  await readNew(service, account, isObeyed);
  await resolvePublishes(service, account, events);
  account.settle();
  await compareTopics(service, account, isObeyed);
  await checkBooks(service, account, isObeyed);
  return isObeyed;
}

/** @param isObeyed false: policies let go of events meanwhile, which cuts an answer short if another instance obeys them */
async function readNew(service: AggregatorProcess, account: Account, isObeyed: boolean): Promise<void> {
  for (let tries = 1; ; tries++) {
    const before = account.stored;
    try {
      const count = await readInOrder(service, account, `/events?after=${account.readTo}`);
      // After an answer that was cut short some are known already.
      if (tries === 1)
        expectSame('events behind what was read before that are new', count, account.stored - before);
      return;
    } catch (error) {
      if (isObeyed || tries === READ_TRIES || !(error instanceof CutShort)) throw error;
    }
  }
}

function keptOn(account: Account, topic: string): number {
  return fateOf(topic) === null ? account.storedByTopic.get(topic)! : account.lettingGo.countOf(topic).kept;
}

class CutShort extends BrokenPromise {}

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
    throw new CutShort(`a whole answer to ${path}`, String(error));
  }
  account.readTo = Math.max(account.readTo, last);
  return count;
}

async function checkBooks(service: AggregatorProcess, account: Account, areAllSure: boolean): Promise<void> {
  const stats = await service.stats();
  const { received, unique_processed: unique, duplicated_dropped: dropped } = stats;
  expectSame('received in the books, of stored and dropped,', unique + dropped, received);
  expectSame('unique_processed in the books', account.stored, unique);
  expectSame('stored and expired in the books, of unique_processed,', unique, stats.stored + stats.expired);
  expectSame('last_offset in the books', account.lastOffset, stats.last_offset);
  const { answeredEvents: least, unansweredEvents } = account;
  if (received < least || received > least + unansweredEvents)
    throw new BrokenPromise(
      `${least} to ${least + unansweredEvents} events received in the books`,
      `${received}`,
    );
  const { topics } = await service.get<{ topics: Topic[] }>('/topics');
  expectSame('topics', account.storedByTopic.size, topics.length);
  for (const { topic, events, expired } of topics) {
    expectSame(`events and expired of ${topic}`, account.storedByTopic.get(topic), events + expired);
    if (areAllSure || fateOf(topic) !== 'bounded')
      expectSame(`events of ${topic}`, keptOn(account, topic), events);
  }
}

interface Topic {
  readonly topic: string;
  readonly events: number;
  readonly expired: number;
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
    const topic = events.topic(k);
    const response = await fetch(`${service.url}/events/${topic}/${events.id(k)}`);
    const body = await response.text();
    const known = account.offsetOf(k);
    const standing = account.lettingGo.standing(topic, known);
    const may = known === 0 ? [404] : { kept: [200], gone: [410], perhaps: [200, 410] }[standing];
    expectSame(
      `GET of event ${k}`,
      may.find((status) => status === response.status) ?? may[0],
      response.status,
    );
    if (response.status === 200) expectSame(`the number of event ${k}`, k, account.read(body));
    if (response.status === 410)
      expectSame(`the offset of event ${k}`, known, (JSON.parse(body) as { offset: number }).offset);
  }
}
