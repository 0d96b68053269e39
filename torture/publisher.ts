import type { Problem, PublishAnswer } from '@chronicleweaver/protocol';
import { type Answer, Connection, requestBytes } from '../lab/connection.ts';
import type { SeededRandom } from '../lab/random.ts';
import type { Account, Publish, Sent } from './account.ts';
import { BrokenPromise } from './broken-promise.ts';
import type { Events } from './events.ts';
import type { History } from './history/history.ts';
import { isPurgeable } from './letting-go/topics.ts';
import type { Batches } from './plan.ts';

/** The share of publishes sent twice at the same time, as by a client that stopped waiting too early. */
const TWIN_SHARE = 0.02;
const INVALID_SHARE = 0.02;

/** A duplicate is recent if the original is among this many newest events. */
const RECENT_EVENTS = 2_000;

/** Where a publish goes, and who is told what became of it. */
interface To {
  readonly account: Account;
  readonly events: Events;
  readonly port: number;
  /** Where other clients publish and read at the same time. */
  readonly history?: History;
  /** Whether the store may leave a commit in doubt: a database may, a file never does. */
  readonly mayDoubt?: boolean;
}

/** What one publisher works with. */
interface Work extends To {
  readonly batches: Batches;
  readonly random: SeededRandom;
  /** When it fires, no further publish begins. */
  readonly signal: AbortSignal;
}

/**
 * Publishes one batch after another, unacknowledged ones first, and tells the account about every attempt and answer.
 * Returns when told to stop or when the service no longer answers; throws a BrokenPromise on an impossible answer.
 */
export async function publish(work: Work): Promise<void> {
  const { account, random, signal } = work;
  const [first, second] = [new Sender(work), new Sender(work)];
  try {
    while (!signal.aborted) {
      const next = account.takeUnsettled() ?? drawPublish(work);
      const senders = random.chance(TWIN_SHARE) ? [first, second] : [first];
      const answered = await Promise.all(senders.map((sender) => sender.send(next)));
      if (answered.includes(false)) return;
    }
  } finally {
    first.close();
    second.close();
  }
}

/** Sends everything unacknowledged again until all of it is acknowledged. */
export async function publishUnsettled(to: To): Promise<void> {
  const sender = new Sender(to);
  for (let next = to.account.takeUnsettled(); next !== undefined; next = to.account.takeUnsettled()) {
    if (!(await sender.send(next))) throw new BrokenPromise('an answer from a service that runs', 'none');
  }
  sender.close();
}

/** Sends over a connection that it opens when it first needs one. */
export class Sender {
  readonly #to: To;
  #connection: Connection | null = null;

  constructor(to: To) {
    this.#to = to;
  }

  /**
   * Makes one attempt and returns whether it was answered.
   *
   * @param sent the events of the publish in another order
   */
  async send(next: Publish, sent: readonly Sent[] = next.events): Promise<boolean> {
    const { account, events, port, mayDoubt = false } = this.#to;
    const request = requestOf({ ...next, events: sent }, events);
    account.attempt(next);
    const sentAfter = account.lastOffset;
    const told = this.#recorder(sent);
    let answer: Answer;
    try {
      this.#connection ??= await Connection.open(port);
      answer = await this.#connection.request(request);
    } catch {
      // Connections of a killed service end in many ways, which all mean that there is no answer.
      told(null);
      account.noAnswer(next);
      return false;
    }
    if (answer.status === 200) {
      const publishAnswer = JSON.parse(answer.body) as PublishAnswer;
      told(publishAnswer);
      account.acknowledged(next, publishAnswer, sentAfter, sent);
    } else if (answer.status === 422) account.toldInvalid(next);
    else if (isRefusal(answer, mayDoubt)) account.refused(next);
    else if (mayDoubt && isInDoubt(answer)) {
      told(null);
      account.noAnswer(next);
    } else
      throw new BrokenPromise(
        '200, 422 or a refusal by 503',
        `${answer.status}: ${answer.body.slice(0, 1000)}`,
      );
    return true;
  }

  /** Begins an operation of the history, which ends when its answer is told. */
  #recorder(sent: readonly Sent[]): (answer: PublishAnswer | null) => void {
    const { history, events, port } = this.#to;
    if (history === undefined) return () => {};
    const from = performance.now();
    return (answer) =>
      history.publish({
        client: `a publisher at port ${port}`,
        from,
        to: answer === null ? Infinity : performance.now(),
        events: sent.map(({ k, as }) => ({
          key: events.key(k),
          content: as === 'conflict' ? 'another' : 'the first',
        })),
        results: answer?.results ?? null,
      });
  }

  close(): void {
    this.#connection?.close();
    this.#connection = null;
  }
}

/** How the answer says that a publish may be stored or not [ERR-5]. */
const IN_DOUBT = /whether or not it was stored/;

/** The only refusals allowed under load; after each of them nothing was stored. A database may be away, too. */
function isRefusal(answer: Answer, mayBeAway: boolean): boolean {
  if (answer.status !== 503) return false;
  const { code } = JSON.parse(answer.body) as Problem;
  if (code === 'store_unavailable') return mayBeAway && !isInDoubt(answer);
  return code === 'shutting_down' || code === 'queue_full';
}

/** The database answered too late, or not at all, to a commit that was sent. */
function isInDoubt({ status, body }: Answer): boolean {
  return status === 503 && IN_DOUBT.test((JSON.parse(body) as Problem).detail);
}

function requestOf({ events: sent, isInvalid }: Publish, events: Events): Buffer {
  const texts = sent.map(({ k, as }) => (as === 'conflict' ? events.conflicting(k) : events.text(k)));
  if (isInvalid) texts[texts.length - 1] = events.invalid(sent.at(-1)!.k);
  return requestBytes('POST /publish?results=true', `{"events":[${texts.join(',')}]}`);
}

export function drawPublish({
  account,
  random,
  batches,
}: Pick<Work, 'account' | 'random' | 'batches'>): Publish {
  const size = drawSize(random, batches);
  const isInvalid = random.chance(INVALID_SHARE);
  const fresh: number[] = [];
  const events = Array.from({ length: size }, (_, place): Sent => {
    // In an invalid publish the last event is the invalid one.
    const kind = isInvalid && place === size - 1 ? 1 : random.between(0, 1);
    const known = kind < 0.22 ? drawKnown(account, random, kind < 0.12 ? RECENT_EVENTS : Infinity) : null;
    if (known !== null) return { k: known, as: kind % 0.05 < 0.015 ? 'conflict' : 'again' };
    if (kind < 0.26 && fresh.length > 0) {
      const k = fresh[random.whole(0, fresh.length - 1)]!;
      if (!isPurgeable(k)) return { k, as: kind < 0.24 ? 'again' : 'conflict' };
    }
    const k = account.newNumber();
    fresh.push(k);
    return { k, as: 'new' };
  });
  return { events, isInvalid, attempts: 0, refused: 0, answered: 0 };
}

function drawSize(random: SeededRandom, batches: Batches): number {
  switch (batches) {
    case 'single':
      return 1;
    case 'few':
      return random.whole(1, 6);
    case 'small':
      return random.whole(1, 60);
    case 'bulk':
      return random.whole(200, 1000);
    case 'mixed':
      return random.chance(0.5) ? 1 : random.chance(0.5) ? random.whole(2, 100) : random.whole(100, 1000);
  }
}

/** An event that is certainly stored, among the newest or any. */
function drawKnown(account: Account, random: SeededRandom, newest: number): number | null {
  if (account.count === 0) return null;
  const k = random.whole(Math.max(0, account.count - newest), account.count - 1);
  return account.isAcknowledged(k) && !isPurgeable(k) ? k : null;
}
