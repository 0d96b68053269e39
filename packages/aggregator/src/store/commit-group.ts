import { type EventBatch, SPANS_PER_EVENT } from '../event/event-batch.ts';
import { ACCEPTED, type AppendResult, CONFLICT } from './event-store.ts';

export interface CommitGroup extends EventBatch {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly spans: Int32Array<ArrayBuffer>;
  readonly timesMs: Float64Array<ArrayBuffer>;
  /** Who published which events: those from the run before it up to `end`, exclusive. Empty if no batch names its publisher. */
  readonly publishers: readonly PublisherRun[];
}

export interface PublisherRun {
  readonly end: number;
  readonly publisher: string | null;
}

/** The events of all batches as one, in a single piece of memory of its own, which can move to the writer's thread. */
export function groupOf(batches: readonly EventBatch[]): CommitGroup {
  let count = 0;
  let length = 0;
  for (const batch of batches) {
    count += batch.count;
    length += batch.bytes.length;
  }
  const spansAt = count * Float64Array.BYTES_PER_ELEMENT;
  const bytesAt = spansAt + count * SPANS_PER_EVENT * Int32Array.BYTES_PER_ELEMENT;
  // Not zero-filled: all of it is written here.
  const memory = Buffer.allocUnsafeSlow(bytesAt + length).buffer;
  const timesMs = new Float64Array(memory, 0, count);
  const spans = new Int32Array(memory, spansAt, count * SPANS_PER_EVENT);
  const bytes = new Uint8Array(memory, bytesAt);
  const publishers: PublisherRun[] = [];
  const isNamed = batches.some(({ publisher }) => publisher !== undefined);
  let base = 0;
  let event = 0;
  for (const batch of batches) {
    bytes.set(batch.bytes, base);
    timesMs.set(batch.timesMs, event);
    const to = event * SPANS_PER_EVENT;
    for (let i = 0; i < batch.spans.length; i++) spans[to + i] = batch.spans[i]! + base;
    base += batch.bytes.length;
    event += batch.count;
    if (isNamed) publishers.push({ end: event, publisher: batch.publisher ?? null });
  }
  return { count, bytes, spans, timesMs, publishers };
}

/** The verdict and offset of each event of a group, in order, and when the accepted ones were committed. */
export interface GroupResult {
  readonly receivedMs: number;
  readonly verdicts: Uint8Array<ArrayBuffer>;
  readonly offsets: Float64Array<ArrayBuffer>;
  /** As in AppendResult. */
  readonly bare: Uint8Array<ArrayBuffer> | null;
  /** As in AppendResult. */
  readonly syncMs?: number;
}

/** What each batch of the group is told. */
export function resultsOf(
  batches: readonly EventBatch[],
  { receivedMs, verdicts, offsets, bare, syncMs }: GroupResult,
): AppendResult[] {
  let at = 0;
  return batches.map(({ count }) => {
    const from = at;
    at += count;
    const ofBatch = bare?.subarray(from, at);
    const result = resultOf(
      receivedMs,
      verdicts.subarray(from, at),
      offsets.subarray(from, at),
      ofBatch?.includes(1) === true ? ofBatch : null,
    );
    return { ...result, syncMs };
  });
}

function resultOf(
  receivedMs: number,
  verdicts: Uint8Array,
  offsets: Float64Array,
  bare: Uint8Array | null,
): AppendResult {
  let accepted = 0;
  let conflicts = 0;
  for (const verdict of verdicts) {
    if (verdict === ACCEPTED) accepted += 1;
    else if (verdict === CONFLICT) conflicts += 1;
  }
  const duplicates = verdicts.length - accepted;
  return { accepted, duplicates, conflicts, receivedMs, verdicts, offsets, bare };
}
