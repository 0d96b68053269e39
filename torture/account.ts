import type { EventResult, PublishAnswer } from '@chronicleweaver/protocol';
import { BrokenPromise } from './broken-promise.ts';
import { type Events, numberOf } from './events.ts';
import { LettingGo } from './letting-go/letting-go.ts';

/**
 * One event of a publish. `new`: event `k`, which no other publish sends until this one is acknowledged; `again`: the
 * same event once more; `conflict`: a different event under the same id.
 */
export interface Sent {
  readonly k: number;
  readonly as: 'new' | 'again' | 'conflict';
}

/** Events that are sent together, as many times as it takes. */
export interface Publish {
  readonly events: readonly Sent[];
  /** One of its events is invalid, so the whole publish must be refused. */
  readonly isInvalid: boolean;
  attempts: number;
  /** Attempts whose answer said that nothing was stored. */
  refused: number;
  answered: number;
}

/** What the answers said. The first three count events, the others publishes. */
export interface Answers {
  accepted: number;
  duplicates: number;
  /** Also counted as duplicates. */
  conflicts: number;
  refused: number;
  invalid: number;
  none: number;
}

/** What is known of an event. */
const ACKNOWLEDGED = 1;
/** An answer said `accepted`. */
const ACCEPTED = 2;
/** It was read from the log after a restart. */
const READ = 4;
/** It was part of a publish that must be refused. */
const INVALID = 8;
/** A follower was shown it. */
const SHOWN = 16;
/** It was stored, and its text was let go of before anybody read it after a restart. */
const PASSED = 32;
/** It is in the log, or was. */
const STORED = READ | PASSED;

/**
 * What publishers and readers were told, and so what must hold.
 *
 * In: every publish before each attempt, and its outcome; every event that was read. Out: a BrokenPromise on the first
 * contradiction. An event is *unknown*, then *acknowledged* (an answer gave its offset), *read*, or both; its offset
 * never changes once it was seen. Events acknowledged since the last check and not yet read are *owed*. Those whose texts may be
 * let go of are told to `lettingGo`, which says where they stand.
 */
export class Account {
  /** Events of all answered attempts; the books must count at least these. */
  answeredEvents = 0;
  /** Events of attempts without an answer; the books may count these as well. */
  unansweredEvents = 0;
  /** The end of the log when it was last read. */
  readTo = 0;
  /** Events that were stored, each as often as its id was forgotten meanwhile, and once more. */
  stored = 0;
  readonly storedByTopic = new Map<string, number>();
  readonly lettingGo = new LettingGo();

  readonly #events: Events;
  readonly #answers: Answers;
  #offsets = new Uint32Array(1 << 16);
  #flags = new Uint8Array(1 << 16);
  #count = 0;
  #lastOffset = 0;
  #owed: number[] = [];
  #unsettled: Publish[] = [];

  /** @param answers the counts to add to */
  constructor(events: Events, answers: Answers) {
    this.#events = events;
    this.#answers = answers;
  }

  /** How many numbers were given out. */
  get count(): number {
    return this.#count;
  }

  /** The highest offset in any answer. */
  get lastOffset(): number {
    return this.#lastOffset;
  }

  /** A number that no event has. */
  newNumber(): number {
    if (this.#count === this.#offsets.length) this.#grow();
    return this.#count++;
  }

  /** The offset at which an event was acknowledged or read, or 0. */
  offsetOf(k: number): number {
    return this.#offsets[k]!;
  }

  isAcknowledged(k: number): boolean {
    return (this.#flags[k]! & ACKNOWLEDGED) !== 0;
  }

  /** Whether it was compared with the log after everything sent before was answered, so that nobody sends it any more. */
  isSettled(k: number): boolean {
    return this.#offsets[k]! !== 0 && (this.#flags[k]! & STORED) !== 0;
  }

  /** Its id is forgotten: from now on it is as if it had never been sent. */
  forget(k: number): void {
    this.#offsets[k] = 0;
    this.#flags[k] = 0;
  }

  /** Events that publishers sent without being told what became of them, and that were not read since. */
  *unheard(): Generator<number> {
    for (const publish of this.#unsettled) {
      for (const k of newOf(publish)) if ((this.#flags[k]! & STORED) === 0) yield k;
    }
  }

  /** The service says that it was stored at this offset, and that its text is gone. */
  passed(k: number, offset: number): void {
    const known = this.#offsets[k]!;
    const topic = this.#events.topic(k);
    if (known !== 0 && known !== offset)
      throw new BrokenPromise(`event ${k} expired at offset ${known}`, `${offset}`);
    if ((this.#flags[k]! & INVALID) !== 0)
      throw new BrokenPromise('nothing of a publish that is not valid', `event ${k} at offset ${offset}`);
    this.#setOffset(k, topic, offset);
    if (this.lettingGo.standing(topic, offset) === 'kept')
      throw new BrokenPromise(`event ${k} of ${topic} at offset ${offset} kept`, 'it has expired');
    this.#store(k, topic, PASSED);
  }

  /** It is about to be sent. */
  attempt(publish: Publish): void {
    publish.attempts += 1;
    if (publish.isInvalid) for (const k of newOf(publish)) this.#flags[k]! |= INVALID;
  }

  /** A publish without an answer, or with a refusal, to send again. */
  takeUnsettled(): Publish | undefined {
    return this.#unsettled.shift();
  }

  get unsettled(): readonly Publish[] {
    return this.#unsettled;
  }

  noAnswer(publish: Publish): void {
    this.#answers.none += 1;
    this.unansweredEvents += publish.events.length;
    this.#leaveUnsettled(publish);
  }

  /** The answer said that nothing was stored and that the publish may be sent again. */
  refused(publish: Publish): void {
    this.#answers.refused += 1;
    publish.refused += 1;
    this.#leaveUnsettled(publish);
  }

  /** The answer said that it is not valid. */
  toldInvalid(publish: Publish): void {
    if (!publish.isInvalid) throw new BrokenPromise('200 for events that are valid', '422');
    this.#answers.invalid += 1;
    publish.answered += 1;
  }

  /**
   * Judges an answer.
   *
   * @param sentAfter the highest offset that any answer had given when this attempt was sent
   * @param events those of the publish, in the order in which they were sent
   */
  acknowledged(
    publish: Publish,
    answer: PublishAnswer,
    sentAfter: number,
    events: readonly Sent[] = publish.events,
  ): void {
    if (publish.isInvalid)
      throw new BrokenPromise('422 for a publish with an invalid event', 'it was stored');
    publish.answered += 1;
    this.answeredEvents += events.length;
    const results = answer.results ?? [];
    expectSame('results', events.length, results.length);
    const told = { accepted: 0, duplicate: 0, conflict: 0 };
    let before = sentAfter;
    for (const [i, sent] of events.entries()) {
      const result = results[i]!;
      expectSame('the number in the id of a result', sent.k, numberOf(result.event_id));
      told[result.verdict] += 1;
      this.#judge(publish, sent, result);
      if (result.verdict !== 'accepted') continue;
      if (result.offset <= before)
        throw new BrokenPromise(`an offset above ${before} for ${describe(result)}`, `${result.offset}`);
      before = result.offset;
    }
    const news = newOf(publish).length;
    if (told.accepted !== 0 && told.accepted !== news)
      throw new BrokenPromise(
        `all or none of the ${news} new events of a publish accepted`,
        `${told.accepted}`,
      );
    expectSame('accepted', told.accepted, answer.accepted);
    expectSame('duplicates', told.duplicate + told.conflict, answer.duplicates);
    expectSame('conflicts', told.conflict, answer.conflicts);
    this.#answers.accepted += told.accepted;
    this.#answers.duplicates += told.duplicate;
    this.#answers.conflicts += told.conflict;
  }

  #judge({ attempts, refused }: Publish, { k, as }: Sent, result: EventResult): void {
    const known = this.#offsets[k]!;
    const flags = this.#flags[k]!;
    const { verdict, offset } = result;
    if (known !== 0 && offset !== known)
      throw new BrokenPromise(`offset ${known} for ${describe(result)}, as told or read before`, `${offset}`);
    if (as === 'conflict') expectVerdict(result, ['conflict']);
    else if (as === 'again' || (flags & (ACCEPTED | STORED)) !== 0) expectVerdict(result, ['duplicate']);
    // If no earlier attempt can have stored it, it cannot be a duplicate.
    else if (attempts - refused === 1) expectVerdict(result, ['accepted']);
    else expectVerdict(result, ['accepted', 'duplicate']);
    if ((flags & (ACKNOWLEDGED | STORED | SHOWN)) === 0) this.#owed.push(k);
    this.#setOffset(k, result.topic, offset);
    this.#flags[k] = flags | ACKNOWLEDGED | (verdict === 'accepted' ? ACCEPTED : 0);
  }

  /**
   * Notes an event of the log, a line of JSON.
   *
   * @returns its number
   */
  read(line: string): number {
    const { k, topic, offset } = this.#compared(line);
    if (this.lettingGo.standing(topic, offset) === 'gone')
      throw new BrokenPromise(`nothing of event ${k} of ${topic}, which was let go of`, line);
    this.#isThere(line, k, topic, offset);
    this.#store(k, topic, READ);
    return k;
  }

  /**
   * Notes an event that a follower was shown, a line of JSON, while others publish. From now on it is owed like one that was
   * acknowledged.
   *
   * @returns its number and offset
   */
  shown(line: string): { k: number; offset: number } {
    const { k, topic, offset } = this.#compared(line);
    // It was on its way to the follower when it was let go of.
    if (this.lettingGo.standing(topic, offset) === 'gone') return { k, offset };
    this.#isThere(line, k, topic, offset);
    const flags = this.#flags[k]!;
    if ((flags & (ACKNOWLEDGED | STORED | SHOWN)) === 0) this.#owed.push(k);
    this.#flags[k] = flags | SHOWN;
    return { k, offset };
  }

  /** Compares an event as it was told with the one that was sent. */
  #compared(line: string): { k: number; topic: string; offset: number } {
    const {
      event_id: eventId,
      topic,
      offset,
    } = JSON.parse(line) as { event_id: string; topic: string; offset: number };
    const k = numberOf(eventId);
    if (k === null || k >= this.#count) throw new BrokenPromise('events that were sent', line);
    const expected = `${this.#events.text(k).slice(0, -1)},"offset":${offset},"received_at":"`;
    if (!line.startsWith(expected)) throw new BrokenPromise(expected, line);
    return { k, topic, offset };
  }

  #isThere(line: string, k: number, topic: string, offset: number): void {
    const known = this.#offsets[k]!;
    if (known !== 0 && known !== offset)
      throw new BrokenPromise(`event ${k} at offset ${known}, once`, `it is at ${offset}: ${line}`);
    if ((this.#flags[k]! & INVALID) !== 0)
      throw new BrokenPromise('nothing of a publish that is not valid', line);
    this.#setOffset(k, topic, offset);
  }

  #setOffset(k: number, topic: string, offset: number): void {
    if (this.offsetOf(k) === offset) return;
    this.#offsets[k] = offset;
    this.#lastOffset = Math.max(this.#lastOffset, offset);
    this.lettingGo.stored(topic, offset);
  }

  /** Counts it, once. */
  #store(k: number, topic: string, how: typeof READ | typeof PASSED): void {
    const flags = this.#flags[k]!;
    if ((flags & STORED) === 0) {
      this.stored += 1;
      this.storedByTopic.set(topic, (this.storedByTopic.get(topic) ?? 0) + 1);
    }
    this.#flags[k] = flags | how;
  }

  /**
   * After everything was read: what is owed must be among it, unless it may have been let go of, and each publish must be whole
   * or absent.
   */
  settle(): void {
    const unread = this.#owed.filter((k) => (this.#flags[k]! & STORED) === 0);
    const lost: number[] = [];
    for (const k of unread) {
      const topic = this.#events.topic(k);
      if (this.lettingGo.standing(topic, this.#offsets[k]!) === 'kept') lost.push(k);
      else this.#store(k, topic, PASSED);
    }
    if (lost.length > 0) {
      const some = lost.slice(0, 5).map((k) => `${k} (offset ${this.#offsets[k]!})`);
      throw new BrokenPromise(
        'every acknowledged or shown event in the log',
        `${lost.length} of ${this.#owed.length} are lost, such as ${some.join(', ')}`,
      );
    }
    this.#owed = [];
    for (const publish of this.#unsettled) {
      const { attempts, refused } = publish;
      const fresh = newOf(publish);
      const there = fresh.filter((k) => (this.#flags[k]! & STORED) !== 0).length;
      if (there !== 0 && there !== fresh.length)
        throw new BrokenPromise('all or nothing of a publish', `${there} of its ${fresh.length} new events`);
      if (there > 0 && refused === attempts)
        throw new BrokenPromise(
          'nothing of a publish that was refused',
          `${there} events, such as ${fresh[0]}`,
        );
    }
  }

  #leaveUnsettled(publish: Publish): void {
    if (publish.answered === 0 && !this.#unsettled.includes(publish)) this.#unsettled.push(publish);
  }

  #grow(): void {
    const offsets = new Uint32Array(this.#offsets.length * 2);
    offsets.set(this.#offsets);
    this.#offsets = offsets;
    const flags = new Uint8Array(this.#flags.length * 2);
    flags.set(this.#flags);
    this.#flags = flags;
  }
}

function newOf({ events }: Publish): number[] {
  return events.filter(({ as }) => as === 'new').map(({ k }) => k);
}

function describe({ event_id: eventId, topic, verdict }: EventResult): string {
  return `event ${eventId} of ${topic} (${verdict})`;
}

function expectVerdict(result: EventResult, verdicts: readonly string[]): void {
  if (!verdicts.includes(result.verdict))
    throw new BrokenPromise(
      `verdict ${verdicts.join(' or ')}`,
      `${describe(result)}, offset ${result.offset}`,
    );
}

/** Throws if the two differ. */
export function expectSame(what: string, expected: unknown, found: unknown): void {
  if (expected !== found) throw new BrokenPromise(`${what} ${String(expected)}`, String(found));
}
