import { setTimeout as sleep } from 'node:timers/promises';
import { eventLines } from '../../lab/event-lines.ts';
import type { SeededRandom } from '../../lab/random.ts';
import type { Account, Publish } from '../account.ts';
import { BrokenPromise } from '../broken-promise.ts';
import type { Events } from '../events.ts';
import type { History } from '../history/history.ts';
import type { Batches } from '../plan.ts';
import { Sender, drawPublish } from '../publisher.ts';
import { type Deletions, Deleter } from '../letting-go/deleter.ts';
import { isPurgeable } from '../letting-go/topics.ts';
import type { Instance, Instances } from './instances.ts';

/** What all clients of the instances work with. */
export interface Clients {
  readonly account: Account;
  readonly events: Events;
  readonly history: History;
  readonly instances: Instances;
  readonly random: SeededRandom;
  /** When it fires, nothing further begins. */
  readonly signal: AbortSignal;
  /** Called with the milliseconds from an instance's last sign of life to the next answer from another one. */
  readonly moved: (ms: number) => void;
}

/** The share of publishes sent to two instances at the same time, to one of them back to front if that is the same. */
const TWIN_SHARE = 0.05;
/** The share of publishes after which a publisher goes to another instance, as behind a load balancer. */
const MOVE_SHARE = 0.05;
/** While no instance is up. */
const WAIT_MS = 10;

/** A reader looks at so many of the newest events, and waits so long between two looks. */
const READ_EVENTS = 300;
const READ_EVERY_MS = 25;

/** Publishes one batch after another, to one instance and, when that does not answer, at once to another. */
export async function publishAnywhere(clients: Clients, batches: Batches): Promise<void> {
  const { account, instances, random, signal, moved } = clients;
  using senders = new Senders(clients);
  let home = instances.any(random);
  let lostAt: number | null = null;
  while (!signal.aborted) {
    if (home === undefined || !instances.up.includes(home) || random.chance(MOVE_SHARE))
      home = instances.any(random);
    if (home === undefined) {
      await sleep(WAIT_MS);
      continue;
    }
    const next = account.takeUnsettled() ?? drawPublish({ account, random, batches });
    const to = [home];
    if (random.chance(TWIN_SHARE)) to.push(instances.any(random) ?? home);
    const answered = await Promise.all(to.map((instance, i) => senders.send(instance, next, i > 0)));
    if (answered[0] === false) {
      lostAt ??= performance.now();
      home = instances.any(random);
    } else if (lostAt !== null) {
      moved(performance.now() - lostAt);
      lostAt = null;
    }
  }
}

/** All instances publish the same new events at the same time, every other one in the opposite order. */
export async function publishAtOnce(clients: Clients, times: number): Promise<void> {
  const { account, instances, random, signal } = clients;
  using senders = new Senders(clients);
  for (let i = 0; i < times && !signal.aborted; i++) {
    const events = Array.from({ length: random.whole(20, 400) }, () => ({
      k: account.newNumber(),
      as: 'new' as const,
    }));
    const next: Publish = { events, isInvalid: false, attempts: 0, refused: 0, answered: 0 };
    await Promise.all(instances.up.map((instance, place) => senders.send(instance, next, place % 2 === 1)));
  }
}

/** Lets go of events through any instance, one after another. */
export async function deleteAnywhere(clients: Clients, deletions: Deletions): Promise<void> {
  const { account, events, instances, random, signal } = clients;
  const work = { account, events, random, deletions, signal, mayDoubt: true };
  while (!signal.aborted) {
    const instance = instances.any(random);
    if (instance !== undefined) await Deleter.run(work, instance.service.port);
    await sleep(WAIT_MS);
  }
}

/** Reads the newest events to the end of the log, and single ones, from any instance. */
export async function readAnywhere(clients: Clients): Promise<void> {
  const { account, instances, random, signal } = clients;
  while (!signal.aborted) {
    const instance = instances.any(random);
    if (instance !== undefined && account.count > 0) {
      try {
        await readNewest(clients, instance);
        await findOne(clients, instance);
      } catch (error) {
        if (error instanceof BrokenPromise) throw error;
        // The instance was killed, or its database does not answer.
      }
    }
    await sleep(READ_EVERY_MS);
  }
}

async function readNewest(
  { account, events, history, random }: Clients,
  { place, service }: Instance,
): Promise<void> {
  const after = Math.max(0, account.lastOffset - random.whole(0, READ_EVENTS));
  const from = performance.now();
  // The end is fixed before the first event is sent.
  let to: number | undefined;
  const seen = [];
  for await (const line of eventLines(service.url, `/events?after=${after}`)) {
    to ??= performance.now();
    const { k, offset } = account.shown(line);
    seen.push({ offset, key: events.key(k), content: 'the first' });
  }
  to ??= performance.now();
  history.read({ client: `a reader of instance ${place}`, from, to, after, events: seen, isToEnd: true });
}

async function findOne(
  { account, events, history, random }: Clients,
  { place, service }: Instance,
): Promise<void> {
  const k = random.whole(Math.max(0, account.count - READ_EVENTS), account.count - 1);
  // Whoever finds nothing may have come after it was forgotten.
  if (isPurgeable(k)) return;
  const topic = events.topic(k);
  const known = account.offsetOf(k);
  const wasGone = known !== 0 && account.lettingGo.standing(topic, known) === 'gone';
  const from = performance.now();
  const response = await fetch(`${service.url}/events/${topic}/${events.id(k)}`);
  const text = await response.text();
  const to = performance.now();
  const { status } = response;
  if (status !== 200 && status !== 404 && status !== 410) return;
  if (status === 200 && wasGone)
    throw new BrokenPromise(`410 for event ${k} of ${topic}, which was let go of`, text);
  const offset =
    status === 404
      ? null
      : status === 200
        ? account.shown(text).offset
        : (JSON.parse(text) as { offset: number }).offset;
  history.find({ client: `a reader of instance ${place}`, from, to, key: events.key(k), offset });
}

/** One connection to each instance. */
class Senders implements Disposable {
  readonly #clients: Clients;
  readonly #byInstance = new Map<Instance, Sender>();

  constructor(clients: Clients) {
    this.#clients = clients;
  }

  /** @param isReversed whether to send the events back to front, if the order does not matter */
  async send(instance: Instance, next: Publish, isReversed: boolean): Promise<boolean> {
    const { account, events, history } = this.#clients;
    // Two at the same time need two connections.
    const known = this.#byInstance.get(instance);
    this.#byInstance.delete(instance);
    const sender =
      known ?? new Sender({ account, events, history, port: instance.service.port, mayDoubt: true });
    const isFree = next.events.every(({ as }) => as === 'new') && !next.isInvalid;
    const answered = await sender.send(next, isReversed && isFree ? next.events.toReversed() : next.events);
    if (answered && !this.#byInstance.has(instance)) this.#byInstance.set(instance, sender);
    else sender.close();
    return answered;
  }

  [Symbol.dispose](): void {
    for (const sender of this.#byInstance.values()) sender.close();
  }
}
