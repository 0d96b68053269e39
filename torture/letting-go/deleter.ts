import { setTimeout as sleep } from 'node:timers/promises';
import { type Answer, Connection, requestBytes } from '../../lab/connection.ts';
import type { SeededRandom } from '../../lab/random.ts';
import type { Account } from '../account.ts';
import { BrokenPromise } from '../broken-promise.ts';
import type { Events } from '../events.ts';
import { Sender } from '../publisher.ts';
import type { Doubt } from './letting-go.ts';
import { BARE, BOUNDED, BOUND_FIRST, BOUND_MAX, fateOf, isPurgeable, topicsOf } from './topics.ts';

/** How many events are looked at to find one that may be erased or forgotten. */
const TRIES = 60;
const PAUSE_MS_MAX = 40;

/** What was let go of by request. */
export interface Deletions {
  truncations: number;
  erasures: number;
  /** Also counted as erasures. */
  forgotten: number;
  /** Requests without an answer that says what was done. */
  inDoubt: number;
}

interface Work {
  readonly account: Account;
  readonly events: Events;
  readonly random: SeededRandom;
  readonly deletions: Deletions;
  /** When it fires, no further request begins. */
  readonly signal: AbortSignal;
  /**
   * Whether the store may leave a request in doubt, and do it again: a database may. Then nothing is published again either, since
   * the history knows each event once.
   */
  readonly mayDoubt?: boolean;
}

/** Creates the policies. Nobody has published yet. */
export async function setPolicies(port: number): Promise<void> {
  const connection = await Connection.open(port);
  for (const { name, ...policy } of [BARE, { ...BOUNDED, max_events: BOUND_FIRST }]) {
    const put = requestBytes(`PUT /retention/${name}`, JSON.stringify(policy));
    const { status, body } = await connection.request(put);
    if (status !== 201 && status !== 200) throw new BrokenPromise(`policy ${name} set`, `${status}: ${body}`);
  }
  connection.close();
}

/** Has what is beyond the bound let go of now: a policy that was changed is obeyed at once, otherwise a few events wait. */
export async function changeBound(port: number, account: Account, random: SeededRandom): Promise<void> {
  const bound = random.whole(1, BOUND_MAX);
  account.lettingGo.bounding(bound);
  const connection = await Connection.open(port);
  const { status, body } = await connection.request(requestBytes(...putBound(bound)));
  if (status !== 200) throw new BrokenPromise(`a bound of ${bound} events set`, `${status}: ${body}`);
  connection.close();
}

function putBound(bound: number): [target: string, body: string] {
  const { name, ...policy } = BOUNDED;
  return [`PUT /retention/${name}`, JSON.stringify({ ...policy, max_events: bound })];
}

/**
 * Lets go of events while others publish: truncates topics, erases events, forgets them and publishes them again, and changes how
 * many a policy keeps. One request after another; the account's model is told of each before it is sent and after its answer.
 */
export class Deleter {
  readonly #work: Work;
  readonly #port: number;
  readonly #connection: Connection;

  private constructor(work: Work, port: number, connection: Connection) {
    this.#work = work;
    this.#port = port;
    this.#connection = connection;
  }

  /** Makes requests until told to stop or until one has no answer; throws a BrokenPromise on an impossible answer. */
  static async run(work: Work, port: number): Promise<void> {
    const connection = await Connection.open(port).catch(() => null);
    if (connection === null) return;
    const deleter = new Deleter(work, port, connection);
    try {
      while (!work.signal.aborted && (await deleter.#next())) await sleep(work.random.whole(0, PAUSE_MS_MAX));
    } finally {
      connection.close();
    }
  }

  /** Whether it was answered. */
  #next(): Promise<boolean> {
    const { random } = this.#work;
    const kind = random.between(0, 1);
    if (kind < 0.3) return this.#truncate();
    if (kind < 0.4) return this.#changeBound();
    const isForgetting = kind < 0.6;
    const doubt = this.#draw(isForgetting);
    return doubt === null ? Promise.resolve(true) : this.#erase(doubt);
  }

  async #truncate(): Promise<boolean> {
    const { account, random, deletions } = this.#work;
    const topic = random.of(topicsOf('truncated') as [string, ...string[]]);
    const { lettingGo } = account;
    // Everything up to an offset that was told is stored.
    const upTo = random.chance(0.3) ? account.lastOffset : random.whole(0, account.lastOffset);
    const before = upTo + 1;
    lettingGo.truncating(topic, before);
    // Before it is sent: the first event of the topic may be told of while the answer is on its way.
    const mayBeEmpty = lettingGo.countOf(topic).stored === 0;
    const answer = await this.#sent(`DELETE /topics/${topic}?before=${before}`);
    if (answer === null) return false;
    if (answer.status === 404 && mayBeEmpty) return true;
    if (answer.status === 503) return this.#doubted();
    const { first_offset: first } = read(answer) as { first_offset: number | null };
    if (first !== null && first < before)
      throw new BrokenPromise(`no event of ${topic} below ${before}`, `one at ${first}`);
    lettingGo.truncated(topic, before);
    deletions.truncations += 1;
    return true;
  }

  async #changeBound(): Promise<boolean> {
    const { account, random } = this.#work;
    const bound = random.whole(1, BOUND_MAX);
    account.lettingGo.bounding(bound);
    const answer = await this.#sent(...putBound(bound));
    if (answer === null) return false;
    if (answer.status === 503) return this.#doubted();
    account.lettingGo.bounded((read(answer) as { max_events: number }).max_events);
    return true;
  }

  async #erase(doubt: Doubt): Promise<boolean> {
    const { account, events, deletions, mayDoubt = false } = this.#work;
    const { lettingGo } = account;
    const { k, topic, offset, isForgetting } = doubt;
    const before = lettingGo.standing(topic, offset);
    lettingGo.erasing(doubt);
    const path = `/events/${topic}/${events.id(k)}`;
    const answer = await this.#sent(`DELETE ${path}${isForgetting ? '?forget=true' : ''}`);
    if (answer === null) return false;
    if (answer.status === 503) return this.#doubted();
    // It may have been forgotten in a transaction that the database did not answer.
    if (!(answer.status === 404 && isForgetting && mayDoubt)) {
      const { offset: at, was_kept: wasKept } = read(answer) as { offset: number; was_kept: boolean };
      const isTold = wasKept ? before !== 'gone' : before !== 'kept' || mayDoubt;
      if (at !== offset || !isTold)
        throw new BrokenPromise(`event ${k} of ${topic} (${before}) erased at ${offset}`, answer.body);
    }
    lettingGo.erased(doubt, true);
    deletions.erasures += 1;
    if (!isForgetting) return this.#expectGone(path, 410);
    deletions.forgotten += 1;
    account.forget(k);
    if (!(await this.#expectGone(path, 404))) return false;
    return mayDoubt || this.#publishAnew(k);
  }

  /** It must be accepted, behind all others. */
  async #publishAnew(k: number): Promise<boolean> {
    const { account, events } = this.#work;
    const sender = new Sender({ account, events, port: this.#port });
    const publish = {
      events: [{ k, as: 'new' as const }],
      isInvalid: false,
      attempts: 0,
      refused: 0,
      answered: 0,
    };
    const isAnswered = await sender.send(publish);
    sender.close();
    return isAnswered;
  }

  async #expectGone(path: string, expected: number): Promise<boolean> {
    const answer = await this.#sent(`GET ${path}`);
    if (answer !== null && answer.status !== expected && answer.status !== 503)
      throw new BrokenPromise(
        `${expected} for GET ${path} after its erasure`,
        `${answer.status}: ${answer.body}`,
      );
    return answer !== null;
  }

  /** An event that may be erased, if one is found: also one whose text is gone already. */
  #draw(isForgetting: boolean): Doubt | null {
    const { account, events, random } = this.#work;
    for (let i = 0; i < TRIES && account.count > 0; i++) {
      const k = random.whole(0, account.count - 1);
      if (isPurgeable(k) !== isForgetting) continue;
      const topic = events.topic(k);
      const fate = fateOf(topic);
      if (fate === null || fate === 'bounded' || (fate === 'bare' && !isForgetting)) continue;
      if (!(isForgetting ? account.isSettled(k) : account.isAcknowledged(k))) continue;
      if (account.lettingGo.doubts.some((doubt) => doubt.k === k)) continue;
      return { k, topic, offset: account.offsetOf(k), isForgetting };
    }
    return null;
  }

  async #sent(target: string, body = ''): Promise<Answer | null> {
    try {
      return await this.#connection.request(requestBytes(target, body));
    } catch {
      // The service was killed.
      this.#doubted();
      return null;
    }
  }

  #doubted(): true {
    this.#work.deletions.inDoubt += 1;
    return true;
  }
}

function read({ status, body }: Answer): unknown {
  if (status !== 200) throw new BrokenPromise('200 or 503 for a request to let go', `${status}: ${body}`);
  return JSON.parse(body);
}
