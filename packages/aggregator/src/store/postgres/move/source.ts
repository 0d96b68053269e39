import { StoreError } from '../../event-store.ts';
import type { MoveMark } from '../../move/move-mark.ts';
import type { SourceLog } from '../../move/moved-log.ts';
import { beginSession } from '../epochs.ts';
import { callErrorOf, remedyFor } from '../errors.ts';
import { putMark } from '../move-mark.ts';
import { settleAll } from '../repeats/settle-repeats.ts';
import { refuseOlderFormat } from '../schema.ts';
import { unbroken } from '../unbroken.ts';
import { lockTables, raiseFence } from './fence.ts';
import { type MoveOptions, ReadableSchema } from './readable.ts';
import { summarizeKeys } from './stored-keys.ts';

/** Instances that are connected to this database. Which schema theirs is, the server does not tell. */
const INSTANCES = `
  SELECT count(*)::int AS sessions FROM pg_stat_activity
  WHERE application_name = 'chronicleweaver' AND datname = current_database() AND pid <> pg_backend_pid()`;

/** Locks in another order than that of a step that is under way deadlock; the server ends one of the two. */
const LOCK_TRIES = 10;

/**
 * A schema that is moved away. It is read while instances write it. It is *held* by a transaction that makes every write
 * wait; what is committed with it is the mark and a fence that refuses whatever waited, so instances need not be stopped.
 * Where the transaction is lost, they go on as if nothing had been.
 */
export class PostgresSource implements SourceLog {
  readonly place: string;
  readonly content: ReadableSchema;

  private constructor(schema: ReadableSchema) {
    this.content = schema;
    this.place = schema.address.place;
  }

  /** Rejects with a StoreError `unusable` that says what to do. */
  static async open(given: string, options: MoveOptions = {}): Promise<PostgresSource> {
    const schema = await ReadableSchema.open(given, options);
    try {
      await refuseUnreadable(schema);
      // As an instance would that starts on it now: what is seen then is on the standby, and a copy is a log of its own.
      if ((await schema.mark())?.role !== 'moved') await schema.read(beginSession);
      await summarizeKeys(schema.client);
      return new PostgresSource(schema);
    } catch (error) {
      await schema.close();
      throw error;
    }
  }

  async log(): Promise<string> {
    return (await this.content.epochs())[0]!.name;
  }

  secret(): Promise<Uint8Array> {
    return this.content.secret();
  }

  async hold(evenInUse: boolean): Promise<string | null> {
    const { client } = this.content;
    if (!evenInUse) {
      const { rows } = await this.content.read(() => client.query<{ sessions: number }>(INSTANCES));
      const { sessions } = rows[0]!;
      if (sessions > 0) return `instances have ${sessions} sessions in its database: stop them`;
    }
    for (let tries = 1; ; tries++) {
      try {
        await client.query('BEGIN');
        await lockTables(client);
        await settleAll(client);
        // Settling does without it; what a move reads from here on need not.
        await client.query('SET LOCAL enable_hashjoin TO DEFAULT');
        return null;
      } catch (error) {
        await client.query('ROLLBACK').catch(() => {});
        if (tries === LOCK_TRIES || remedyFor(error) !== 'repeat') throw callErrorOf(error);
      }
    }
  }

  async leave(mark: MoveMark): Promise<void> {
    await this.content.read(async (client) => {
      await putMark(client, mark);
      await raiseFence(client, mark);
      // Where the answer does not come, another run finds out.
      await unbroken(client, () => client.query('COMMIT'));
    });
  }

  close(): Promise<void> {
    return this.content.close();
  }
}

async function refuseUnreadable({ client, address: { place } }: ReadableSchema): Promise<void> {
  const there = await client.query<{ is_there: boolean }>(
    "SELECT to_regclass('move') IS NOT NULL AS is_there",
  );
  if (!there.rows[0]!.is_there) {
    throw new StoreError('unusable', `${place} holds no log of this program, or one of an older version`);
  }
  await refuseOlderFormat(client, place);
}
