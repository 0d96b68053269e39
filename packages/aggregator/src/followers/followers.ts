import type { Writable } from 'node:stream';
import type { Logger } from 'pino';
import type { EventStore, TopicFilter } from '../store/event-store.ts';
import { CatchUp } from './catch-up.ts';
import { Channels, keyOf } from './channels.ts';
import type { Expiry } from '../store/retention-store.ts';
import type { Commit, Commits } from '../commits/commits.ts';
import { type Channel, type FollowOptions, Follower } from './follower.ts';
import { LiveWindow, selectFrom } from './live-window.ts';
import { type Share, sharesOf } from './shares.ts';

export interface FollowersOptions {
  /** At most this many followers at once. */
  readonly followersMax: number;
  /** How often every stream is written to, with or without events, milliseconds. */
  readonly heartbeatMs?: number;
  /** How long a reader may stop reading before its stream is cut, milliseconds. */
  readonly stalledMs?: number;
  /** Bytes of the newest events kept encoded while there are followers. */
  readonly windowBytesMax?: number;
  /** Bytes given to a follower at once, from the window or the store, except that a single event may be larger. */
  readonly pieceBytesMax?: number;
}

/** Proxies close a connection after a minute of silence, some after half a minute. */
const HEARTBEAT_MS = 15_000;
const STALLED_MS = 60_000;
const WINDOW_BYTES_MAX = 4 * 1024 * 1024;
/** A reader that has stopped reading ties up a piece, so pieces are small. */
const PIECE_BYTES_MAX = 64 * 1024;

/** The longest wait between two flushes, however long the first one took. */
const FLUSH_WAIT_MS_MAX = 100;

/** A stream cannot be opened: the limit is reached, or the service is stopping. */
export class FollowRefused extends Error {
  readonly reason: 'full' | 'closed';

  constructor(reason: 'full' | 'closed', message: string) {
    super(message);
    this.reason = reason;
  }
}

/**
 * Hands committed events to all live followers. In: commits, as they happen. Out: to each follower the events it
 * asked for after its cursor, once each, in the order of their offsets, for as long as it stays.
 *
 * A follower is
 * - *catching up*: it reads pages from the store, one at a time, until its position lies in the window;
 * - *joining*: it is given its events in the window above its position, and is then
 * - *live*: every flush gives it the events since the last one, encoded once for all. If a commit comes without its
 *   events, as another process's may, or events expire before a flush, all live followers catch up again;
 * - *full*: its reader lags, so nothing is read or kept for it until the reader has drained the stream. Then it joins
 *   again or, if the window has moved on, catches up;
 * - *ended*: its reader left, it was full for `stalledMs`, or the service closed.
 *
 * There is no gap, repeat or reordering at the seams: a follower has a single position, all of its events up to there
 * were written, from the store or the window, and whatever it is given next begins right above it. A page and the
 * window may both hold an event; the position decides. The step from joining to live happens in one turn, in which
 * nothing commits.
 *
 * What has expired is told by the store's pages, as a gap in its place. The window has no text that is known to have expired,
 * and so no gaps.
 *
 * The commit path only copies events that somebody follows. After a flush the next one waits as long as that one
 * took, at most `FLUSH_WAIT_MS_MAX`. So flushes leave the thread to others half of the time, and the more it costs to
 * serve everybody, the more events go into one write. Memory: the window, the events since the last flush, and for
 * each follower the contents of its stream.
 */
export class Followers {
  readonly #commits: Commits;
  readonly #log: Logger;
  readonly #options: Required<FollowersOptions>;
  readonly #all = new Set<Follower>();
  readonly #channels = new Channels();
  readonly #catchUp: CatchUp;
  /** Null while there are no followers. */
  #window: LiveWindow | null = null;
  #stopListening: (() => void) | null = null;
  readonly #stopHearing: () => void;
  #heartbeat: NodeJS.Timeout | null = null;
  #flushTimer: NodeJS.Timeout | null = null;
  #flushedAtMs = 0;
  #flushTookMs = 0;
  #isClosed = false;

  constructor(store: EventStore, commits: Commits, log: Logger, options: FollowersOptions) {
    this.#commits = commits;
    this.#log = log;
    this.#options = {
      heartbeatMs: HEARTBEAT_MS,
      stalledMs: STALLED_MS,
      windowBytesMax: WINDOW_BYTES_MAX,
      pieceBytesMax: PIECE_BYTES_MAX,
      ...options,
    };
    this.#catchUp = new CatchUp(store, commits, this.#options.pieceBytesMax);
    const stopHearing = commits.listenEpochs(() => {
      this.#endAll();
      // Pages on their way may be of what is gone, and whoever reconnects may ask for the same ones.
      this.#catchUp.letGo({ from: 0, upTo: Number.POSITIVE_INFINITY });
    });
    const stopWatching = store.retention.watch((expiry) => this.#letGo(expiry));
    this.#stopHearing = () => {
      stopHearing();
      stopWatching();
    };
  }

  /** The number of followers now. */
  get count(): number {
    return this.#all.size;
  }

  /** How many there may be. */
  get max(): number {
    return this.#options.followersMax;
  }

  /** How far the slowest one is behind the end of the log, in offsets; 0 if there is none. */
  get behind(): number {
    let behind = 0;
    for (const { position } of this.#all) behind = Math.max(behind, this.#commits.lastOffset - position);
    return behind;
  }

  /**
   * Rejects with the store's error if the events after the offset cannot be read. Once a stream is open it can only
   * be cut, without a reason.
   */
  async probe(filter: TopicFilter, after: number): Promise<void> {
    const end = this.#window?.after ?? this.#commits.lastOffset;
    if (after < end) await this.#catchUp.page(filter, keyOf(filter), after);
  }

  /**
   * Gives the stream every event above `after` that passes the filter, until the stream is closed, and tells where some have
   * expired. A strict stream ends before a gap behind its first event, or behind `after` if that is not the beginning. Calls
   * `open` if a stream may be opened; otherwise throws a FollowRefused.
   */
  follow(filter: TopicFilter, after: number, open: () => Writable, options: FollowOptions = {}): void {
    if (this.#isClosed) throw new FollowRefused('closed', 'the server is stopping; open the stream again');
    const { followersMax } = this.#options;
    if (this.#all.size >= followersMax) {
      throw new FollowRefused('full', `${followersMax} live streams are open, the most that are allowed`);
    }
    const out = open();
    // Its reader left while it was being opened, so no `close` event will follow.
    if (out.destroyed) return;
    const channel = this.#join(filter);
    const follower: Follower = new Follower(channel, after, out, options, () => this.#leave(follower));
    this.#all.add(follower);
    this.#own(follower);
  }

  /** Ends every stream at once; readers reconnect with their cursors, here or elsewhere. */
  close(): void {
    this.#isClosed = true;
    this.#stopHearing();
    this.#endAll();
  }

  /**
   * Also when an epoch begins [EPO-4]: what is in the window may be gone, and a reader must learn of the epoch. The window ends
   * at once: a stream may take long to close, and whoever joins meanwhile must find nothing of before.
   */
  #endAll(): void {
    for (const follower of this.#all) {
      follower.end();
      this.#leave(follower);
    }
  }

  /** Serves a follower until it is live or has ended. */
  async #serve(follower: Follower): Promise<void> {
    while (!follower.isEnded) {
      if (follower.isFull) await follower.emptied();
      else if (follower.position >= this.#reach(follower.channel)) {
        this.#giveFromWindow(follower);
        if (follower.isFull) continue;
        follower.channel.live.add(follower);
        follower.hasBegun = true;
        return;
      } else {
        const { filter, key } = follower.channel;
        const gaps = follower.isStrict ? 'apart' : 'told';
        const page = await this.#catchUp.page(filter, key, follower.position, gaps);
        if (follower.isStrict && follower.hasBegun && page.expired > 0) return follower.end();
        follower.hasBegun ||= page.count > 0;
        follower.give(page.bytes, page.position);
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

  /** The position from which the window has all of the channel's events. */
  #reach({ since }: Channel): number {
    return Math.max(since, this.#live().after);
  }

  #giveFromWindow(follower: Follower): void {
    const { isMeant } = follower.channel;
    for (const piece of this.#live().above(follower.position)) {
      follower.give(selectFrom(piece, piece.topics.map(isMeant), follower.position), piece.lastOffset);
      if (follower.isFull) return;
    }
    follower.give(null, Math.max(follower.position, this.#live().lastOffset));
  }

  #live(): LiveWindow {
    if (this.#window === null) throw new Error('there is a follower and no window');
    return this.#window;
  }

  /** The filter's channel. The first one starts the window. */
  #join(filter: TopicFilter): Channel {
    if (this.#window === null) {
      const { windowBytesMax, pieceBytesMax } = this.#options;
      this.#window = new LiveWindow(this.#commits.lastOffset, windowBytesMax, pieceBytesMax);
      this.#stopListening = this.#commits.listen((commit) => this.#heard(commit));
      this.#heartbeat = setInterval(() => this.#beat(), this.#options.heartbeatMs);
    }
    return this.#channels.join(filter, this.#window.heardTo);
  }

  #leave(follower: Follower): void {
    if (!this.#all.delete(follower)) return;
    const { channel } = follower;
    channel.live.delete(follower);
    this.#channels.leave(channel);
    if (this.#all.size > 0) return;
    this.#stopListening?.();
    if (this.#heartbeat !== null) clearInterval(this.#heartbeat);
    if (this.#flushTimer !== null) clearTimeout(this.#flushTimer);
    this.#window = null;
    this.#flushTimer = null;
  }

  #heard({ lastOffset, events }: Commit): void {
    const window = this.#live();
    if (events !== null) {
      window.hear(events, lastOffset, (topic) => this.#channels.isWanted(topic));
      this.#flushSoon();
      return;
    }
    this.#skip(window, lastOffset);
  }

  /**
   * Drops the texts that have expired from the window and from pages on their way: whoever has not been given them yet is told by the store that they are
   * gone.
   */
  #letGo(expiry: Expiry): void {
    const { upTo } = expiry;
    this.#catchUp.letGo(expiry);
    const window = this.#window;
    if (window === null) return;
    if (window.isUncut(upTo)) this.#skip(window, window.heardTo);
    else window.letGo(upTo);
  }

  /** Has everybody read the events up to the offset from the store, also those heard before it. */
  #skip(window: LiveWindow, lastOffset: number): void {
    window.skip(lastOffset);
    for (const channel of this.#channels.all()) {
      // Cleared first: a follower that is ahead of the news is live again at once.
      const live = [...channel.live];
      channel.live.clear();
      for (const follower of live) this.#own(follower);
    }
  }

  /** Waits after a flush for as long as the flush took. */
  #flushSoon(): void {
    if (this.#flushTimer !== null) return;
    const restMs = Math.min(this.#flushTookMs, FLUSH_WAIT_MS_MAX);
    const waitMs = Math.max(0, this.#flushedAtMs + restMs - performance.now());
    this.#flushTimer = setTimeout(() => this.#flush(), waitMs);
  }

  #flush(): void {
    const startMs = performance.now();
    const window = this.#live();
    const routes = new Map<string, readonly Channel[]>();
    const route = (topic: string): readonly Channel[] => {
      let channels = routes.get(topic);
      if (channels === undefined) routes.set(topic, (channels = this.#channels.route(topic)));
      return channels;
    };
    const pieces = window.cut();
    this.#flushTimer = null;
    const shares = sharesOf(pieces, route);
    for (const channel of this.#channels.all()) {
      for (const follower of channel.live) {
        this.#giveLive(follower, shares.get(channel) ?? []);
        if (!follower.isFull) continue;
        channel.live.delete(follower);
        this.#own(follower);
      }
    }
    // Responses write at the end of the turn, and that is most of the work.
    process.nextTick(() => {
      this.#flushedAtMs = performance.now();
      this.#flushTookMs = this.#flushedAtMs - startMs;
    });
  }

  #giveLive(follower: Follower, shares: readonly Share[]): void {
    for (const { piece, meant, bytes } of shares) {
      if (follower.isFull) return;
      const { position } = follower;
      if (position >= piece.lastOffset) continue;
      // A follower that joined in the middle of a piece has its beginning from the store.
      const own = position < piece.offsets[0]! ? bytes : selectFrom(piece, meant, position);
      follower.give(own, piece.lastOffset);
    }
    if (!follower.isFull) follower.give(null, Math.max(follower.position, this.#live().lastOffset));
  }

  /**
   * Sends a comment, and the position as an id without an event, so that a reader of a rare topic resumes from there.
   */
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
