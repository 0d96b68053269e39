import type { Client } from 'pg';
import { messageOf } from '../errors.ts';
import type { Tell } from '../tell.ts';
import { type Sessions, answered, ended } from './sessions.ts';

/** How long a connection may take to hear the notification that it sent itself. */
const HEARS_WITHIN_MS = 1000;

/** The server says nothing by itself while nobody commits: so often it is asked whether it is still there. */
const ASK_MS = 10_000;

const NOTIFY = 'SELECT pg_notify($1, payload) FROM unnest($2::text[]) AS new (payload)';

/**
 * The one connection on which an instance hears notifications, and sends those that need no transaction. Out: what arrives on
 * each channel. It *hears* after it has heard a notification that it sent itself: a pooler may swallow them. Else it is
 * *deaf*, and whoever waits for notifications must look by himself.
 */
export class Hearing {
  readonly #sessions: Sessions;
  readonly #tell: Tell;
  readonly #channels = new Map<string, (payload: string) => void>();
  #client: Client | null = null;
  #listening: Promise<boolean> | null = null;
  #isHearing = false;
  #begun = 0;
  #isDeafnessTold = false;
  #isClosed = false;
  #retryAt = 0;
  #askAt = 0;

  constructor(sessions: Sessions, tell: Tell) {
    this.#sessions = sessions;
    this.#tell = tell;
  }

  get isHearing(): boolean {
    return this.#isHearing;
  }

  /** How often it has begun to hear: what was sent before the last time may be lost. */
  get begun(): number {
    return this.#begun;
  }

  /** Calls `heard` with what arrives on the channel, from the next `listen` on. */
  on(channel: string, heard: (payload: string) => void): void {
    this.#channels.set(channel, heard);
  }

  /** Listens unless it hears, or has tried a moment ago. Returns whether it has begun to hear. */
  async listen(): Promise<boolean> {
    if (this.#isHearing) this.#ask();
    if (this.#isHearing || this.#isClosed || performance.now() < this.#retryAt) return false;
    this.#listening ??= this.#tried().finally(() => (this.#listening = null));
    return this.#listening;
  }

  async #tried(): Promise<boolean> {
    this.#retryAt = performance.now() + HEARS_WITHIN_MS;
    if (this.#client !== null) await ended(this.#client);
    this.#client = null;
    let client: Client | null = null;
    try {
      client = await this.#sessions.connect(() => this.#isClosed);
      const heardItself = this.#heardItself(client);
      client.on('end', () => (this.#isHearing = false));
      await this.#begin(client);
      this.#isHearing = await heardItself;
      if (this.#isHearing) this.#begun += 1;
      this.#client = client;
      this.#tellDeafness(this.#isHearing ? null : 'they do not arrive, perhaps because of a pooler');
      return this.#isHearing;
    } catch (error) {
      this.#isHearing = false;
      if (client !== null) await ended(client);
      this.#tellDeafness(messageOf(error));
      return false;
    }
  }

  /** Notifies everybody who listens, here, too. Where there is no connection just now, nobody hears of it. */
  async notify(channel: string, payloads: readonly string[]): Promise<void> {
    const client = this.#client;
    if (client === null) return;
    const values = [channel, payloads];
    await answered(client, () => client.query({ name: 'notify', text: NOTIFY, values })).catch(() => {});
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#listening;
    if (this.#client !== null) await ended(this.#client);
  }

  #begin(client: Client): Promise<unknown> {
    return answered(client, async () => {
      for (const channel of this.#channels.keys()) await client.query(`LISTEN ${channel}`);
      const [first] = this.#channels.keys();
      await client.query("SELECT pg_notify($1, '')", [first]);
    });
  }

  /** Ends the connection where the server does not answer any more. */
  #ask(): void {
    const client = this.#client;
    if (client === null || performance.now() < this.#askAt) return;
    this.#askAt = performance.now() + ASK_MS;
    void answered(client, () => client.query('SELECT')).catch(() => {});
  }

  #heardItself(client: Client): Promise<boolean> {
    return new Promise((resolve) => {
      setTimeout(resolve, HEARS_WITHIN_MS, false).unref();
      client.on('notification', ({ channel, payload }) => {
        resolve(true);
        if (payload !== undefined && payload !== '') this.#channels.get(channel)?.(payload);
      });
    });
  }

  /** Logs why it is deaf, once until it hears again. */
  #tellDeafness(reason: string | null): void {
    if (reason !== null && !this.#isDeafnessTold) {
      this.#tell(
        { reason },
        'no notifications come from the database: until they do it is asked for news all the time',
        'error',
      );
    }
    this.#isDeafnessTold = reason !== null;
  }
}
