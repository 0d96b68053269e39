import { randomBytes } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { damaged } from '../errors.ts';
import { StoreError } from '../event-store.ts';
import { Comparison } from './compare.ts';
import { LettingGo } from './let-go.ts';
import { type MoveMark, refusalOf } from './move-mark.ts';
import type { KeyedPart, SourceLog, TargetLog } from './moved-log.ts';
import { STORY_PARTS } from './moved-story.ts';
import { withKeys } from './parts.ts';

/** A transaction of the target takes parts until they have so many events or bytes. */
const WRITE_EVENTS = 16_384;
const WRITE_BYTES = 4 * 1024 * 1024;

/** With fewer events to go, what is left takes a moment. */
const CLOSE_EVENTS = 10_000;

/** Each time an id was forgotten in the source and stored again while the events in between were copied. */
const COPY_TRIES = 10;

/** How often a source that is in use is asked again, milliseconds. */
const ASK_AGAIN_MS = 100;

export interface MoveOptions {
  /** Whether to go on until the service on the source has been stopped. */
  readonly wait: boolean;
  /** Whether to end the source's service at the last moment, if the store can. */
  readonly fence: boolean;
  /** Called with the offset that a step has reached, and the one that it is to reach. */
  readonly progress: (step: 'copying' | 'comparing', done: number, total: number) => void;
  /** Called once it is close behind a source that is in use, with the reason why it cannot finish, and what to stop. */
  readonly waiting: (why: string, copiedTo: number) => void;
  readonly signal: AbortSignal;
}

/** `moved`: the target serves from now on. `in_use`: all was copied, but a service is running on the source. */
export type MoveOutcome =
  | { readonly kind: 'moved' | 'moved_before'; readonly lastOffset: number }
  | { readonly kind: 'in_use'; readonly why: string; readonly lastOffset: number };

/**
 * Moves a log into another store. States, each of which a kill leaves for another run to go on from:
 *
 * - *copying*: the source is served, the target is filled and kept from services by its mark; what is copied is compared, and
 *   what the source lets go of afterwards goes there too.
 * - *held*: nobody can write to the source. What is left is copied and compared, and so is everything beside the events.
 * - *moved*: the source is marked. It will never be written again; the target is complete but for its own mark.
 * - *complete*: a service may start on the target.
 *
 * Invariants: at most one of the two stores takes writes at any moment, since the source is marked before the target is
 * opened. Nothing that the source acknowledged is missing in the target then: it is copied while the source is held.
 */
export async function move(source: SourceLog, target: TargetLog, options: MoveOptions): Promise<MoveOutcome> {
  const found = await source.content.mark();
  if (found?.role === 'moved') return await opened(source, target, found);
  const log = await source.log();
  if ((await target.content.mark()) === null && (await target.content.state()).epochs[0]?.name === log) {
    throw new StoreError('unusable', `${target.place} and ${source.place} are the same store`);
  }
  const move = randomBytes(8).toString('hex');
  const mark = await target.begin({ role: 'filling', move, log, other: source.place }, await source.secret());
  const course: Course = {
    source,
    target,
    comparison: new Comparison(source, target),
    lettingGo: new LettingGo(source, target),
    options,
  };
  await course.lettingGo.begin();
  for (let isTold = false; ; isTold = true) {
    const copiedTo = await catchUp(course);
    const why = await source.hold(options.fence);
    if (why === null) break;
    if (!options.wait) return { kind: 'in_use', why, lastOffset: copiedTo };
    if (!isTold) options.waiting(why, copiedTo);
    await delay(ASK_AGAIN_MS, null, { signal: options.signal });
  }
  return await finish(course, mark);
}

interface Course {
  readonly source: SourceLog;
  readonly target: TargetLog;
  readonly comparison: Comparison;
  readonly lettingGo: LettingGo;
  readonly options: MoveOptions;
}

/** Copies and compares until little is left. Returns the offset that it has reached. */
async function catchUp(course: Course): Promise<number> {
  const { source, lettingGo } = course;
  for (;;) {
    const copiedTo = await copy(course, false);
    await lettingGo.upTo(copiedTo, false);
    await compare(course, copiedTo);
    if ((await source.content.lastOffset()) - copiedTo < CLOSE_EVENTS) return copiedTo;
  }
}

/** The source is held. */
async function finish(course: Course, mark: MoveMark): Promise<MoveOutcome> {
  const { source, target, comparison, lettingGo } = course;
  // Another move may have been faster.
  if ((await source.content.mark())?.role === 'moved') {
    throw new StoreError('unusable', `another move has moved ${source.place} meanwhile`);
  }
  const lastOffset = await copy(course, true);
  await lettingGo.upTo(lastOffset, true);
  await compare(course, lastOffset);
  const state = await source.content.state();
  await target.writeState(state, source.content.letters());
  for (const part of STORY_PARTS) await target.writeStory(part, source.content.story(part));
  await comparison.state(state);
  for (const part of STORY_PARTS) await comparison.story(part);
  await source.leave({ ...mark, role: 'moved', other: target.place });
  await target.complete();
  return { kind: 'moved', lastOffset };
}

/** The source is marked: what is left is to open the target, where that has not been done. */
async function opened(source: SourceLog, target: TargetLog, mark: MoveMark): Promise<MoveOutcome> {
  const there = await target.content.mark();
  if (there?.move !== mark.move) throw new StoreError('unusable', refusalOf(source.place, mark)!);
  const lastOffset = await source.content.lastOffset();
  if (there.role !== 'filling') return { kind: 'moved_before', lastOffset };
  await target.begin(there, await source.secret());
  await target.complete();
  return { kind: 'moved', lastOffset };
}

/** Copies all that the source has now. Returns the offset of the last event. */
async function copy(course: Course, isHeld: boolean): Promise<number> {
  const { source, target, lettingGo } = course;
  for (let tries = 1; tries <= COPY_TRIES; tries++) {
    const copiedTo = await copyOnce(course);
    if (copiedTo !== null) return copiedTo;
    // An id was forgotten after its event was copied or read, and then stored again.
    await lettingGo.now(await target.content.lastOffset(), isHeld);
  }
  throw damaged(`${source.place} has the same id for two events`);
}

/** Null if it met an id that the target knows for another event. */
async function copyOnce({ source, target, options: { progress, signal } }: Course): Promise<number | null> {
  const [after, upTo] = [await target.content.lastOffset(), await source.content.lastOffset()];
  if (after > upTo) {
    throw new StoreError(
      'unusable',
      `${source.place} ends at offset ${upTo}, but ${after} were copied from it before: it has lost events, or is an older copy`,
    );
  }
  let writing = Promise.resolve(true);
  for await (const parts of gathered(source, after, upTo)) {
    if (!(await writing)) return null;
    signal.throwIfAborted();
    const { firstOffset, count } = parts.at(-1)!;
    progress('copying', firstOffset + count - 1, upTo);
    // While the database works, the next parts are read.
    writing = target.write(parts);
    writing.catch(() => {});
  }
  return (await writing) ? upTo : null;
}

async function compare({ comparison, options: { progress, signal } }: Course, upTo: number): Promise<void> {
  await comparison.events(upTo, (offset) => {
    signal.throwIfAborted();
    progress('comparing', offset, upTo);
  });
}

async function* gathered(source: SourceLog, after: number, upTo: number): AsyncGenerator<KeyedPart[]> {
  let gathering: KeyedPart[] = [];
  let [events, bytes] = [0, 0];
  for await (const part of source.content.parts(after, upTo)) {
    gathering.push(await withKeys(source.content, part));
    events += part.count;
    bytes += part.events.bytes.length;
    if (events < WRITE_EVENTS && bytes < WRITE_BYTES) continue;
    yield gathering;
    gathering = [];
    [events, bytes] = [0, 0];
  }
  if (gathering.length > 0) yield gathering;
}
