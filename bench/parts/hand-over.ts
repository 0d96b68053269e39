import { once } from 'node:events';
import {
  MessageChannel,
  type MessagePort,
  Worker,
  isMainThread,
  type Transferable,
  workerData,
} from 'node:worker_threads';

/**
 * What it costs to hand a group of events to the writer's thread and to hear of its commit: processor time of both
 * threads, microseconds per group. The other thread sleeps for as long as a disk syncs, so that both have to be woken,
 * which costs more than anything that is copied.
 */

const WAYS = ['objects by MessagePort', 'buffers by MessagePort', 'shared memory and Atomics'] as const;
type Way = (typeof WAYS)[number];

const GROUPS = [1, 16];
const ROUNDS = 1500;
const SAMPLES = 9;
const SYNC_MS = 0.25;

/** Bytes of an event: its text, its time and its twelve spans. */
const TEXT_BYTES = 300;
const SPANS = 12;
const EVENT_BYTES = TEXT_BYTES + 4 * SPANS + 8;
/** Bytes of an answer for each event: an offset and a verdict. */
const ANSWER_BYTES = 9;

interface FarEnd {
  readonly way: Way;
  readonly port: MessagePort;
  readonly shared: SharedArrayBuffer;
}

/** Places in the shared memory: groups handed over, groups committed, and the answers' events. */
const HANDED = 0;
const COMMITTED = 1;
const STOP = -1;
const HEAD_BYTES = 64;

export async function measureHandOvers(): Promise<void> {
  for (const events of GROUPS) for (const way of WAYS) await measure(way, events);
}

async function measure(way: Way, events: number): Promise<void> {
  const { port1: port, port2 } = new MessageChannel();
  const shared = new SharedArrayBuffer(HEAD_BYTES + EVENT_BYTES * Math.max(...GROUPS));
  const worker = new Worker(new URL(import.meta.url), {
    workerData: { way, port: port2, shared } satisfies FarEnd,
    transferList: [port2],
  });
  await once(worker, 'online');
  const texts = Buffer.alloc(TEXT_BYTES * events, 'x');
  const round =
    way === 'shared memory and Atomics'
      ? roundInMemory(shared, texts)
      : roundOfPort(way, port, texts, events);
  const samples: number[] = [];
  for (let sample = 0; sample < SAMPLES; sample++) {
    const before = process.cpuUsage();
    for (let i = 0; i < ROUNDS; i++) await round();
    const { user, system } = process.cpuUsage(before);
    samples.push((user + system) / ROUNDS);
  }
  // The first is slow: its code is cold.
  const micros = samples.slice(1).toSorted((a, b) => a - b)[(SAMPLES - 1) / 2]!;
  process.stdout.write(`${`hand over ${events}: ${way}`.padEnd(40)} ${micros.toFixed(1).padStart(6)} µs\n`);
  Atomics.store(new Int32Array(shared), HANDED, STOP);
  Atomics.notify(new Int32Array(shared), HANDED);
  port.close();
  await worker.terminate();
}

function roundOfPort(way: Way, port: MessagePort, texts: Uint8Array, events: number): () => Promise<void> {
  let answered: () => void = () => {};
  let id = 0;
  port.on('message', () => answered());
  return () =>
    new Promise((resolve) => {
      answered = resolve;
      const { buffer } = Buffer.allocUnsafeSlow(EVENT_BYTES * events);
      const bytes = new Uint8Array(buffer, EVENT_BYTES * events - texts.length);
      bytes.set(texts);
      const timesMs = new Float64Array(buffer, 0, events);
      const spans = new Int32Array(buffer, timesMs.byteLength, SPANS * events);
      const args =
        way === 'objects by MessagePort' ? [{ count: events, bytes, spans, timesMs }] : [events, buffer];
      id += 1;
      port.postMessage({ id, name: 'append', args }, [buffer]);
    });
}

function roundInMemory(shared: SharedArrayBuffer, texts: Uint8Array): () => Promise<void> {
  const state = new Int32Array(shared);
  const bytes = new Uint8Array(shared, HEAD_BYTES);
  let handed = 0;
  return async () => {
    bytes.set(texts);
    const { async: isWaiting, value } = Atomics.waitAsync(state, COMMITTED, handed);
    handed += 1;
    Atomics.store(state, HANDED, handed);
    Atomics.notify(state, HANDED);
    if (isWaiting) await value;
  };
}

function answerByPort(way: Way, port: MessagePort): void {
  port.on('message', ({ id, args }: { id: number; args: [number | { count: number }] }) => {
    sync();
    const [group] = args;
    const count = typeof group === 'number' ? group : group.count;
    const memory = new ArrayBuffer(count * ANSWER_BYTES);
    const offsets = new Float64Array(memory, 0, count);
    const verdicts = new Uint8Array(memory, offsets.byteLength);
    const value =
      way === 'objects by MessagePort' ? { receivedMs: id, verdicts, offsets } : { receivedMs: id, memory };
    const moved: Transferable[] = [memory];
    port.postMessage({ id, value }, moved);
  });
}

function answerInMemory(shared: SharedArrayBuffer): void {
  const state = new Int32Array(shared);
  for (let handed = 0; ;) {
    Atomics.wait(state, HANDED, handed);
    handed = Atomics.load(state, HANDED);
    if (handed === STOP) return;
    sync();
    Atomics.store(state, COMMITTED, handed);
    Atomics.notify(state, COMMITTED);
  }
}

function sync(): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, SYNC_MS);
}

if (!isMainThread) {
  const { way, port, shared } = workerData as FarEnd;
  if (way === 'shared memory and Atomics') answerInMemory(shared);
  else answerByPort(way, port);
}
