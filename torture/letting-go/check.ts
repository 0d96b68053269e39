import { setTimeout as sleep } from 'node:timers/promises';
import type { AggregatorProcess } from '../../lab/aggregator-process.ts';
import { Connection, requestBytes } from '../../lab/connection.ts';
import { eventLines } from '../../lab/event-lines.ts';
import { type Account, expectSame } from '../account.ts';
import { BrokenPromise } from '../broken-promise.ts';
import type { Events } from '../events.ts';
import { BARE, BOUNDED, fateOf, topicsOf } from './topics.ts';

const PAGE_EVENTS = 1000;

/** Finds out what became of erasures without an answer: the service has done all of one or nothing. */
export async function resolveErasures(
  service: AggregatorProcess,
  account: Account,
  events: Events,
): Promise<void> {
  const { lettingGo } = account;
  await eachFound(service, events, lettingGo.doubts, (doubt, status, body) => {
    const { k, topic, offset, isForgetting } = doubt;
    // An id is forgotten last, so the text may be gone without it.
    const possible = [410];
    if (lettingGo.standing(topic, offset) !== 'gone') possible.push(200);
    if (isForgetting) possible.push(404);
    if (!possible.includes(status))
      throw new BrokenPromise(`${possible.join(' or ')} for event ${k} of ${topic}`, `${status}: ${body}`);
    if (status !== 404) expectSame(`offset of event ${k}`, offset, (JSON.parse(body) as Placed).offset);
    lettingGo.erased(doubt, status !== 200);
    if (status === 404) account.forget(k);
  });
}

/** Finds out what became of events whose publishers had no answer: they may have been stored and let go of meanwhile. */
export async function resolvePublishes(
  service: AggregatorProcess,
  account: Account,
  events: Events,
): Promise<void> {
  const unheard = [...account.unheard()].map((k) => ({ k, topic: events.topic(k) }));
  const unsure = unheard.filter(({ topic }) => fateOf(topic) !== null);
  await eachFound(service, events, unsure, ({ k }, status, body) => {
    if (status === 410) account.passed(k, (JSON.parse(body) as Placed).offset);
    else expectSame(`GET of event ${k}, which is in no page,`, 404, status);
  });
}

/** Whether the policies are those that were set, and nothing is beyond their bounds any more. */
export async function areObeyed(
  service: AggregatorProcess,
  account: Account,
  withinMs: number,
): Promise<boolean> {
  const { policies } = await service.get<{ policies: { name: string }[] }>('/retention');
  const names = policies.map(({ name }) => name).join();
  expectSame('policies', [BARE.name, BOUNDED.name].join(), names);
  const untilMs = performance.now() + withinMs;
  for (;;) {
    const { max_events: bound, due } = await service.get<{ max_events: number; due: { events: number } }>(
      `/retention/${BOUNDED.name}`,
    );
    account.lettingGo.bounded(bound);
    if (due.events === 0) return true;
    if (performance.now() > untilMs) return false;
    await sleep(20);
  }
}

/** Compares the topics of which much is let go with what must be there. */
export async function compareTopics(
  service: AggregatorProcess,
  account: Account,
  areObeyed: boolean,
): Promise<void> {
  for (const topic of topicsOf('truncated'))
    account.lettingGo.compareTruncated(topic, await offsetsOf(service, account, topic));
  if (!areObeyed) return;
  const bounded = topicsOf('bounded');
  const found = await Promise.all(bounded.map((topic) => offsetsOf(service, account, topic)));
  account.lettingGo.compareBounded(
    bounded,
    found.flat().toSorted((a, b) => a - b),
  );
}

/** The pages of each such topic must say of all that expired that they passed over it, once. */
export async function comparePages(service: AggregatorProcess, account: Account): Promise<void> {
  for (const topic of account.storedByTopic.keys()) {
    const fate = fateOf(topic);
    if (fate === null) continue;
    let [events, expired, after] = [0, 0, 0];
    for (let next: number | null = 0; next !== null; after = next ?? after) {
      const page: Page = await service.get(`/events?topic=${topic}&after=${after}&limit=${PAGE_EVENTS}`);
      events += page.count;
      expired += page.expired ?? 0;
      next = page.next;
    }
    const { stored, kept } = account.lettingGo.countOf(topic);
    expectSame(`events in the pages of ${topic}`, kept, events);
    expectSame(`expired in the pages of ${topic}`, fate === 'bare' ? 0 : stored - kept, expired);
  }
}

interface Placed {
  readonly offset: number;
}

interface Page {
  readonly count: number;
  readonly expired?: number;
  readonly next: number | null;
}

async function offsetsOf(service: AggregatorProcess, account: Account, topic: string): Promise<number[]> {
  const offsets: number[] = [];
  const path = `/events?topic=${topic}`;
  try {
    for await (const line of eventLines(service.url, path))
      offsets.push(account.offsetOf(account.read(line)));
  } catch (error) {
    if (error instanceof BrokenPromise) throw error;
    throw new BrokenPromise(`a whole answer to ${path}`, String(error));
  }
  return offsets;
}

async function eachFound<T extends { readonly k: number; readonly topic: string }>(
  { port }: AggregatorProcess,
  events: Events,
  all: readonly T[],
  found: (one: T, status: number, body: string) => void,
): Promise<void> {
  if (all.length === 0) return;
  const connection = await Connection.open(port);
  try {
    for (const one of all) {
      const get = requestBytes(`GET /events/${one.topic}/${events.id(one.k)}`);
      const { status, body } = await connection.request(get);
      found(one, status, Buffer.from(body, 'latin1').toString());
    }
  } finally {
    connection.close();
  }
}
