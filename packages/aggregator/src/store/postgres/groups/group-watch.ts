import { randomUUID } from 'node:crypto';
import type { GroupNews } from '../../group-news.ts';
import type { Hearing } from '../hearing.ts';
import type { Reading } from '../sessions.ts';

/** How often the groups are looked at, milliseconds: where notifications come, and where they fail or failed a moment ago. */
const LOOK_MS = { hearing: 10_000, deaf: 250 } as const;

/** News that nobody can act on at once, as of every take and acknowledgement, is gathered for so long, milliseconds. */
const GATHER_MS = 20;

/** A notification has less than 8000 bytes. */
const PAYLOAD_BYTES_MAX = 7000;

/** In place of the apply that wrote a group of which only news was heard. */
const UNKNOWN = -1;

const LOOK = 'SELECT group_id, name, push_url IS NOT NULL AS is_pushed, version FROM event_group';

/** What one instance tells the others. */
interface Notice {
  readonly by: string;
  readonly news: readonly GroupNews[];
}

/**
 * Tells the other instances of steps that were taken here, and hears of theirs. In: news of applies that are committed. Out: the
 * news of others.
 *
 * Notifications are sent after the commit, and not with it: the server lets transactions that notify commit one at a time, and
 * holds them up over the wait for the disk, so that steps and appends would wait for each other. An instance that dies in
 * between tells nobody. So whoever listens looks now and then, too, for groups that were made, removed or written by others:
 * no news is needed for anything to go on.
 */
export class GroupWatch {
  readonly #hearing: Hearing;
  readonly #channel: string;
  readonly #sessions: Reading;
  readonly #told: (news: readonly GroupNews[]) => void;
  readonly #name = randomUUID();
  /** Applies of this instance whose commit may be under way. */
  readonly #own = new Set<number>();
  #waiting: GroupNews[] = [];
  #sending: Promise<void> | null = null;
  /** Ends the wait for more. */
  #hurry = (): void => {};
  /** The groups as they were last seen, and by which apply they were written. */
  readonly #seen = new Map<number, number>();
  #timer: NodeJS.Timeout | undefined;
  #isLooking: Promise<void> = Promise.resolve();
  #isClosed = false;
  #lookedAt = 0;
  #begun = 0;

  constructor(parts: {
    hearing: Hearing;
    channel: string;
    sessions: Reading;
    told: (news: readonly GroupNews[]) => void;
  }) {
    this.#hearing = parts.hearing;
    this.#channel = parts.channel;
    this.#sessions = parts.sessions;
    this.#told = parts.told;
    this.#hearing.on(this.#channel, (payload) => this.#heard(payload));
  }

  open(): void {
    if (this.#isClosed) return;
    this.#timer = setTimeout(() => {
      // Whoever does steps reports that the database does not answer; here it is only asked again.
      this.#isLooking = this.#lookIfNeeded().catch(() => {}).finally(() => this.open()); // prettier-ignore
    }, LOOK_MS.deaf);
  }

  /** An apply of this instance is about to be committed. What it does is told by this instance itself. */
  begins(applyId: number): void {
    this.#own.add(applyId);
  }

  /** It is committed or undone; if committed, it wrote these groups and removed those. */
  ends(applyId: number, wrote: readonly number[], removed: readonly number[]): void {
    this.#own.delete(applyId);
    for (const id of wrote) this.#seen.set(id, applyId);
    for (const id of removed) this.#seen.delete(id);
  }

  /** Tells the others, together with what comes while they are being told. */
  tell(news: readonly GroupNews[]): void {
    this.#waiting.push(...news);
    if (news.some(isUrgent)) this.#hurry();
    this.#sending ??= this.#send();
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    clearTimeout(this.#timer);
    this.#hurry();
    await this.#isLooking;
    await this.#sending;
  }

  async #send(): Promise<void> {
    while (this.#waiting.length > 0) {
      await this.#gathered();
      await this.#hearing.notify(this.#channel, this.#payloads(merged(this.#waiting.splice(0))));
    }
    this.#sending = null;
  }

  /** Waits for more, unless something waiting is urgent. */
  async #gathered(): Promise<void> {
    if (this.#isClosed || this.#waiting.some(isUrgent)) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, GATHER_MS);
      this.#hurry = () => {
        clearTimeout(timer);
        resolve();
      };
    });
    this.#hurry = () => {};
  }

  #payloads(news: readonly GroupNews[]): string[] {
    const textOf = (part: readonly GroupNews[]): string =>
      JSON.stringify({ by: this.#name, news: part } satisfies Notice);
    const text = textOf(news);
    if (news.length === 1 || Buffer.byteLength(text) <= PAYLOAD_BYTES_MAX) return [text];
    const half = Math.ceil(news.length / 2);
    return [...this.#payloads(news.slice(0, half)), ...this.#payloads(news.slice(half))];
  }

  #heard(payload: string): void {
    const { by, news } = JSON.parse(payload) as Notice;
    if (by === this.#name) return;
    // So that its removal is found if no news of that arrives.
    for (const { kind, id } of news) if (kind === 'made') this.#seen.set(id, UNKNOWN);
    this.#told(news);
  }

  async #lookIfNeeded(): Promise<void> {
    const { isHearing, begun } = this.#hearing;
    if (isHearing && begun === this.#begun && performance.now() < this.#lookedAt + LOOK_MS.hearing) return;
    await this.#look();
    this.#lookedAt = performance.now();
    this.#begun = begun;
  }

  /** Finds what was made, removed or written by others since the last look. */
  async #look(): Promise<void> {
    const before = new Map(this.#seen);
    const own = new Set(this.#own);
    const { rows } = await this.#sessions.read((client) =>
      client.query<{ group_id: string; name: string; is_pushed: boolean; version: string }>({
        name: 'look at groups',
        text: LOOK,
      }),
    );
    const news: GroupNews[] = [];
    const found = new Set<number>();
    for (const row of rows) {
      const id = Number(row.group_id);
      const version = Number(row.version);
      found.add(id);
      // Written here meanwhile: news of that was told.
      if (before.get(id) !== this.#seen.get(id) || before.get(id) === version) continue;
      if (own.has(version) || this.#own.has(version)) continue;
      if (!before.has(id)) news.push({ kind: 'made', id, name: row.name, isPushed: row.is_pushed });
      else news.push({ kind: 'moved', id, hasRoom: true, dueInMs: 0 });
      this.#seen.set(id, version);
    }
    for (const id of before.keys()) {
      // One that is missing may have been removed here; else the next look finds it.
      if (found.has(id) || own.size > 0 || !this.#seen.has(id)) continue;
      this.#seen.delete(id);
      news.push({ kind: 'removed', id });
    }
    this.#told(news);
  }
}

/** Whether workers or senders elsewhere may be waiting for it. */
function isUrgent(news: GroupNews): boolean {
  return news.kind !== 'moved' || (news.dueInMs !== null && news.dueInMs <= 2 * GATHER_MS);
}

/** The same news with one piece for all moves of a group. */
function merged(news: readonly GroupNews[]): GroupNews[] {
  const moves = new Map<number, GroupNews & { readonly kind: 'moved' }>();
  for (const one of news) {
    if (one.kind !== 'moved') continue;
    const { hasRoom = false, dueInMs = null } = moves.get(one.id) ?? {};
    const isSooner = one.dueInMs !== null && (dueInMs === null || one.dueInMs < dueInMs);
    moves.set(one.id, {
      ...one,
      hasRoom: hasRoom || one.hasRoom,
      dueInMs: isSooner ? one.dueInMs : dueInMs,
    });
  }
  return [...news.filter(({ kind }) => kind !== 'moved'), ...moves.values()];
}
