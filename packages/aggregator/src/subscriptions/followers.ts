import type { Writable } from 'node:stream';
import type { Logger } from 'pino';
import type { EventStore, TopicFilter } from '../store/event-store.ts';
import { compileTopicFilter } from '../store/topic-filter.ts';
import type { Commit, Commits } from './commits.ts';
import { type Channel, Follower } from './follower.ts';
import { LiveWindow, selectFrom } from './live-window.ts';

export interface FollowersOptions {
  /** Followers at once. */
  readonly followersMax: number;
  /** How often each is written to, whether or not there are events, milliseconds. */
  readonly heartbeatMs?: number;
  /** How long one may leave untaken what it was given, milliseconds. */
  readonly stalledMs?: number;
  /** Bytes of the newest events that are kept encoded while anybody follows. */
  readonly windowBytesMax?: number;
  /** Bytes that a follower is given at once, from the window or the store, unless it is one event that is larger. */
  readonly pieceBytesMax?: number;
}

/** Proxies close a connection that is silent for a minute, some for half of that. */
const HEARTBEAT_MS = 15_000;
const STALLED_MS = 60_000;
const WINDOW_BYTES_MAX = 4 * 1024 * 1024;
/** Who has stopped reading holds a piece, so it is small. */
const PIECE_BYTES_MAX = 64 * 1024;

/** Pages that are read from the store at once, so that whoever else reads has a turn soon. */
const READS_MAX = 4;

/** Topics whose channels are known; past that all are forgotten and found anew. */
const ROUTES_MAX = 1024;

/** A stream cannot be opened: there are as many as there may be, or the service is stopping. */
export class FollowRefused extends Error {
  readonly reason: 'full' | 'closed';

  constructor(reason: 'full' | 'closed', message: string) {
    super(message);
    this.reason = reason;
  }
}

/**
 * Hands committed events to all who follow the log live. In: commits, as they happen. Out: to each follower the events
 * it asked for behind its cursor, once each, in the order of their offsets, as long as it stays.
 *
 * A follower is
 * - *catching up*: pages are read for it from the store, one at a time, until its position lies in the window;
 * - *joining*: it is given what the window has above its position, and is then
 * - *live*: with every flush it is given what came since the last one, encoded once for all;
 * - *full*: its reader takes nothing more; nothing is read or kept for it until the reader has taken what there is. Then
 *   it joins again, or, where the window has moved on, catches up;
 * - *ended*: by its reader, by being full for `stalledMs`, or by our close.
 *
 * No gap, repeat or reorder at the seams: a follower has one position and everything meant up to it was written, whoever
 * gave it (the store or the window); what is given next begins right above it. A page and the window may both hold an
 * event; it is the position that decides. The step from joining to live happens in one turn, in which nothing commits.
 *
 * The commit path only notes the commit. Flushes follow one another at such a distance that they take at most half of
 * the thread, so the more it costs to serve all, the more events go into one write. Memory: the window, and for each
 * follower what its stream holds.
 */
export class Followers {
  readonly #store: EventStore;
  readonly #commits: Commits;
  readonly #log: Logger;
  readonly #options: Required<FollowersOptions>;
  readonly #all = new Set<Follower>();
  readonly #channels = new Map<string, Channel>();
  /** By topic, the channels that it is meant for. */
  readonly #routes = new Map<string, readonly Channel[]>();
  /** Pages that are being read, so that those who come back together read together. */
  readonly #pages = new Map<string, Promise<Page>>();
  readonly #readers: (() => void)[] = [];
  #reads = 0;
  /** While anybody follows. */
  #window: LiveWindow | null = null;
  #stopListening: (() => void) | null = null;
  #heartbeat: NodeJS.Timeout | null = null;
  #committed: Commit[] = [];
  #flushTimer: NodeJS.Timeout | null = null;
  #flushedAtMs = 0;
  #flushTookMs = 0;
  #isClosed = false;

  constructor(store: EventStore, commits: Commits, log: Logger, options: FollowersOptions) {
    this.#store = store;
    this.#commits = commits;
    this.#log = log;
    this.#options = {
      heartbeatMs: HEARTBEAT_MS,
      stalledMs: STALLED_MS,
      windowBytesMax: WINDOW_BYTES_MAX,
      pieceBytesMax: PIECE_BYTES_MAX,
      ...options,
    };
  }

  /** How many follow now. */
  get count(): number {
    return this.#all.size;
  }

  /**
   * Gives the stream every event that the filter lets through above `after`, until the stream is closed. `open` is
   * called where it may be opened; else a FollowRefused is thrown.
   */
  follow(filter: TopicFilter, after: number, open: () => Writable): void {
    if (this.#isClosed) throw new FollowRefused('closed', 'the server is stopping; open the stream again');
    const { followersMax } = this.#options;
    if (this.#all.size >= followersMax) {
      throw new FollowRefused('full', `${followersMax} live streams are open, which is all there may be`);
    }
    const out = open();
    // Its reader left while it was being opened, and no end will be told.
    if (out.destroyed) return;
    const channel = this.#join(filter);
    const follower: Follower = new Follower(channel, after, out, () => this.#leave(follower));
    this.#all.add(follower);
    channel.followers += 1;
    this.#own(follower);
  }

  /** Ends every stream at once; who follows comes back with its cursor, here or elsewhere. */
  close(): void {
    this.#isClosed = true;
    for (const follower of this.#all) follower.end();
  }

  /** Serves it until it is live or has ended. */
  async #serve(follower: Follower): Promise<void> {
    while (!follower.isEnded) {
      if (follower.isFull) await follower.emptied();
      else if (follower.position >= this.#reach(follower.channel)) {
        this.#giveFromWindow(follower);
        if (follower.isFull) continue;
        follower.channel.live.add(follower);
        return;
      } else {
        const { bytes, position } = await this.#page(follower.channel, follower.position);
        follower.give(bytes, position);
      }
    }
  }

  #own(follower: Follower): void {
    this.#serve(follower).catch((error: unknown) => {
      if (follower.isEnded) return;
      this.#log.error({ err: error }, 'a live stream was cut: its events could not be read');
      follower.cut();
    });
  }

  /** From which position on the window has all that is meant for the channel. */
  #reach({ since }: Channel): number {
    return Math.max(since, this.#live().after);
  }

  #giveFromWindow(follower: Follower): void {
    const { isMeant } = follower.channel;
    for (const piece of this.#live().above(follower.position)) {
      follower.give(selectFrom(piece, isMeant, follower.position), piece.lastOffset);
      if (follower.isFull) return;
    }
    follower.give(null, Math.max(follower.position, this.#live().lastOffset));
  }

  #live(): LiveWindow {
    if (this.#window === null) throw new Error('there is a follower and no window');
    return this.#window;
  }

  /** The channel of the filter; with the first one the window begins. */
  #join(filter: TopicFilter): Channel {
    if (this.#window === null) {
      const { windowBytesMax, pieceBytesMax } = this.#options;
      this.#window = new LiveWindow(this.#commits.lastOffset, windowBytesMax, pieceBytesMax);
      this.#stopListening = this.#commits.listen((commit) => {
        this.#committed.push(commit);
        this.#flushSoon();
      });
      this.#heartbeat = setInterval(() => this.#beat(), this.#options.heartbeatMs);
    }
    const key = JSON.stringify(filter);
    let channel = this.#channels.get(key);
    if (channel === undefined) {
      const isMeant = compileTopicFilter(filter);
      const since = this.#window.lastOffset;
      channel = { key, filter, isMeant, since, live: new Set(), followers: 0 };
      this.#channels.set(key, channel);
      this.#routes.clear();
    }
    return channel;
  }

  #leave(follower: Follower): void {
    if (!this.#all.delete(follower)) return;
    const { channel } = follower;
    channel.live.delete(follower);
    channel.followers -= 1;
    if (channel.followers === 0) {
      this.#channels.delete(channel.key);
      this.#routes.clear();
    }
    if (this.#all.size > 0) return;
    this.#stopListening?.();
    if (this.#heartbeat !== null) clearInterval(this.#heartbeat);
    if (this.#flushTimer !== null) clearTimeout(this.#flushTimer);
    this.#window = null;
    this.#flushTimer = null;
    this.#committed = [];
  }

  /** As long after the last flush as that one took. */
  #flushSoon(): void {
    if (this.#flushTimer !== null) return;
    const waitMs = this.#flushedAtMs + this.#flushTookMs - performance.now();
    this.#flushTimer = setTimeout(() => this.#flush(), Math.max(0, waitMs));
  }

  #flush(): void {
    const startMs = performance.now();
    const window = this.#live();
    const committed = this.#committed;
    this.#committed = [];
    this.#flushTimer = null;
    const pieces = window.push(committed, (topic) => this.#route(topic).length > 0);
    const meant = new Set(pieces.flatMap(({ topics }) => topics.flatMap((topic) => this.#route(topic))));
    for (const channel of this.#channels.values()) {
      const shares = meant.has(channel)
        ? pieces.map((piece) => ({ piece, bytes: selectFrom(piece, channel.isMeant, 0) }))
        : [];
      for (const follower of channel.live) {
        for (const { piece, bytes } of shares) {
          if (follower.isFull) break;
          const { position } = follower;
          if (position >= piece.lastOffset) continue;
          // One that joined amid the piece has the beginning of it from the store.
          const own = position < piece.offsets[0]! ? bytes : selectFrom(piece, channel.isMeant, position);
          follower.give(own, piece.lastOffset);
        }
        if (follower.isFull) {
          channel.live.delete(follower);
          this.#own(follower);
        } else follower.give(null, Math.max(follower.position, window.lastOffset));
      }
    }
    // A response writes at the end of the turn, and that is most of the work.
    process.nextTick(() => {
      this.#flushedAtMs = performance.now();
      this.#flushTookMs = this.#flushedAtMs - startMs;
    });
  }

  #route(topic: string): readonly Channel[] {
    let channels = this.#routes.get(topic);
    if (channels === undefined) {
      if (this.#routes.size >= ROUTES_MAX) this.#routes.clear();
      channels = [...this.#channels.values()].filter(({ isMeant }) => isMeant(topic));
      this.#routes.set(topic, channels);
    }
    return channels;
  }

  /** What comes next for a channel above the position, from the store. */
  #page(channel: Channel, after: number): Promise<Page> {
    const key = `${after} ${channel.key}`;
    let page = this.#pages.get(key);
    if (page === undefined) {
      page = this.#read(channel.filter, after).finally(() => this.#pages.delete(key));
      this.#pages.set(key, page);
    }
    return page;
  }

  async #read(filter: TopicFilter, after: number): Promise<Page> {
    if (this.#reads === READS_MAX) await new Promise<void>((resolve) => this.#readers.push(resolve));
    else this.#reads += 1;
    try {
      const upTo = this.#commits.lastOffset;
      const { bytes, resumeAfter } = await this.#store.read({
        ...filter,
        order: 'asc',
        after,
        upTo,
        eventsMax: Number.MAX_SAFE_INTEGER,
        bytesMax: this.#options.pieceBytesMax,
        framing: 'stream',
      });
      return { bytes, position: resumeAfter ?? Math.max(after, upTo) };
    } finally {
      const next = this.#readers.shift();
      if (next === undefined) this.#reads -= 1;
      else next();
    }
  }

  /** A comment, and the position as an id without an event: a reader that waits for a rare topic resumes from there. */
  #beat(): void {
    const nowMs = performance.now();
    let saidPosition = -1;
    let bytes = Buffer.alloc(0);
    for (const follower of this.#all) {
      const { fullSinceMs, position } = follower;
      if (fullSinceMs === null) {
        if (saidPosition !== position) bytes = Buffer.from(`:\nid: ${position}\n\n`);
        saidPosition = position;
        follower.say(bytes);
      } else if (nowMs - fullSinceMs >= this.#options.stalledMs) {
        this.#log.info({ position }, 'a live stream was cut: its reader had stopped reading');
        follower.cut();
      }
    }
  }
}

interface Page {
  readonly bytes: Uint8Array;
  readonly position: number;
}
