import type { EventBatch } from '../../event/event-batch.ts';
import type { Commit } from '../blocks/block-format.ts';
import type { Epoch, TopicSummary } from '../event-store.ts';
import type { GroupRow, WrittenHand } from '../groups/group-tables.ts';
import type { OffsetSet } from '../offset-set.ts';
import type { Policy } from '../retention-store.ts';
import type { KeptSource } from '../source-store.ts';
import type { MoveMark } from './move-mark.ts';
import type { AsyncRows, MovedStory, StoryPart } from './moved-story.ts';

/** What a move reads of a log, be it the one that is moved or the one that it has become. */
export interface ReadableLog {
  /** What a move has left in the store. */
  mark(): Promise<MoveMark | null>;
  lastOffset(): Promise<number>;
  /** The events above `after`, up to `upTo`, in order and without a gap; bounded in events and bytes. */
  parts(after: number, upTo: number): AsyncGenerator<LogPart>;
  topics(): Promise<TopicSummary[]>;
  /** The lengths of the texts above `after`, up to `upTo`, in order and without a gap, from the directories of blocks alone. */
  lengths(after: number, upTo: number): AsyncGenerator<Lengths>;
  /**
   * What the store knows of the ids of events that have no text, in order; null where the id is forgotten. Asked for after the log
   * has told that they have none.
   */
  keysOf(offsets: readonly number[]): Promise<readonly (MovedKey | null)[]>;
  /** Another one whenever texts or ids were let go of. */
  changes(): Promise<string>;
  /** The number of ids that are forgotten. */
  forgotten(): Promise<number>;
  /**
   * Everything beside the events, as of now, but for dead letters. Of a source only once it is held: until then it may be of an
   * older format, which has less.
   */
  state(): Promise<LogState>;
  /** The dead letters of all groups, by group and offset, a bounded number at a time. */
  letters(): AsyncGenerator<readonly MovedLetter[]>;
  /** What the log remembers of repeats, a bounded number of rows at a time; of a source only once it is held, as the state. */
  story<P extends StoryPart>(part: P): AsyncRows<MovedStory[P]>;
}

interface MovedLog {
  /** Names the store in messages, without a password. */
  readonly place: string;
  readonly content: ReadableLog;
  /** Lets go of the store. What was held is given back, what was begun and not finished can be gone on with. */
  close(): Promise<void>;
}

/** The log that is moved. A service may be writing it until it is held. */
export interface SourceLog extends MovedLog {
  /** The name of its first epoch, which no other log has. */
  log(): Promise<string>;
  /** Under which it hashes ids and contents. */
  secret(): Promise<Uint8Array>;
  /**
   * Keeps everybody from writing to it, until `leave` or `close`. Where a service is running on it, returns why not and what
   * to stop; with `evenInUse` the service's writes wait, if the store can make them.
   */
  hold(evenInUse: boolean): Promise<string | null>;
  /** Marks the held store as moved, durably: from now on nobody writes to it, and a service does not start on it. */
  leave(mark: MoveMark): Promise<void>;
}

/** The log that is made. No service writes it: one does not start on it, and one that runs already is refused. */
export interface TargetLog extends MovedLog {
  /**
   * Makes it the target of this move, or of the one of the same log that was begun before, and returns that one's mark. It
   * takes over the secret: the id of an event without a text cannot be hashed anew.
   * Rejects with a StoreError `unusable` if it is neither new nor empty nor such a target.
   */
  begin(mark: MoveMark, secret: Uint8Array): Promise<MoveMark>;
  /**
   * Appends the parts, durably, in one transaction. False, and nothing is changed, if one of their ids is known for another event:
   * the source has forgotten it since that one was read, and stored it again.
   */
  write(parts: readonly KeyedPart[]): Promise<boolean>;
  /** The first fault that looking up the ids of these events has, which it holds; null if there is none. */
  keyFault(part: KeyedPart): Promise<string | null>;
  /** Makes kept events expired, with these ascending offsets. */
  expire(offsets: readonly number[]): Promise<void>;
  /** Forgets the ids at these offsets, of events without a text, as far as it knows them. */
  forget(offsets: OffsetSet): Promise<void>;
  /** Puts everything beside the events in place of what is there. */
  writeState(state: LogState, letters: AsyncIterable<readonly MovedLetter[]>): Promise<void>;
  /** Puts these rows in place of what is there of a part of the story; after the state, in the order of STORY_PARTS. */
  writeStory<P extends StoryPart>(part: P, rows: AsyncIterable<readonly MovedStory[P][]>): Promise<void>;
  /** Opens it for services: the move is done. */
  complete(): Promise<void>;
}

/** Consecutive events on their way from one store to the other. */
export interface LogPart {
  readonly firstOffset: number;
  readonly count: number;
  /** The topic of each event. */
  readonly topics: readonly string[];
  /** Of each event the bytes of its text, or EXPIRED or BARE. */
  readonly lengths: Int32Array;
  /** Those that are kept. Its bytes begin with their texts, one behind the other. */
  readonly events: EventBatch;
  /** In order; together they have as many events. */
  readonly commits: readonly Commit[];
}

/** With what the source knows of the ids of its events without a text, in order; null where the id is forgotten. */
export interface KeyedPart extends LogPart {
  readonly keys: readonly (MovedKey | null)[];
}

/** An id and the content under it as a store remembers them (key-hash.ts). */
export interface MovedKey {
  readonly k0: number;
  readonly k1: number;
  readonly k2: number;
  readonly k3: number;
  readonly digest: number;
}

/** Of each event from an offset on the bytes of its text, or EXPIRED or BARE. */
export interface Lengths {
  readonly firstOffset: number;
  readonly lengths: Int32Array;
}

/** What a log has beside its events. */
export interface LogState {
  readonly books: MovedBooks;
  readonly epochs: readonly Epoch[];
  readonly policies: readonly Policy[];
  readonly sources: readonly KeptSource[];
  readonly forgotten: number;
  /** Since when repeats are counted, milliseconds since 1970. */
  readonly repeatsSinceMs: number;
  /** By their ids. Who may send a webhook is not moved: whoever was sending is gone. */
  readonly groups: readonly GroupRow[];
  readonly hands: readonly MovedHand[];
  /** The id of the group that was made last; no other group ever has it. */
  readonly lastGroupId: number;
}

/** Events that were given out, as they are stored: leases keep their takes, times and counts of deliveries. */
export type MovedHand = WrittenHand & { readonly group_id: number };

export interface MovedLetter {
  readonly group_id: number;
  readonly offset: number;
  readonly deliveries: number;
  readonly bytes: number;
  readonly dead_ms: number;
  readonly reason: string;
}

export interface MovedBooks {
  readonly received: number;
  readonly conflicts: number;
  readonly lastOffset: number;
  /** The time of the last commit, milliseconds since 1970. */
  readonly lastMs: number;
}
