import { hash } from 'node:crypto';
import { constants, zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import { readEvents } from '../packages/aggregator/src/event/event-reader.ts';
import { compileTopicFilter } from '../packages/aggregator/src/store/topic-filter.ts';
import { KeyHasher } from '../packages/aggregator/src/store/key-hash.ts';
import { CommitFigures } from '../packages/aggregator/src/metrics/commits.ts';
import { PublishFigures } from '../packages/aggregator/src/metrics/publishes.ts';
import { TopicRoutes } from '../packages/aggregator/src/followers/topic-routes.ts';
import { createEventText } from './load/event-text.ts';
import { measureHandOvers } from './parts/hand-over.ts';

/**
 * Measures alternatives for single steps of an event's way, each alone in one thread: the numbers that
 * docs/performance.md and the ADRs cite. `npm run bench:parts` prints, for each, the median of many rounds over the same
 * 1000 events, in nanoseconds per event. What it costs to hand a group to another thread comes last.
 */
const EVENTS = 1000;
const ROUNDS = 200;

const eventText = createEventText(1);
const texts = Buffer.from(Array.from({ length: EVENTS }, (_, k) => eventText(k)).join(''));
const body = Buffer.from(`{"events":[${Array.from({ length: EVENTS }, (_, k) => eventText(k)).join()}]}`);
const read = readEvents(Buffer.from(body));
if (read.kind !== 'batch') throw new Error('the events of the benchmark are not valid');
const { batch } = read;
const hasher = new KeyHasher(Buffer.alloc(16, 7));
const names = Array.from({ length: EVENTS }, (_, k) => Buffer.from(`topic-${k % 8}\0${crypto.randomUUID()}`));

measure('read a body', () => void readEvents(Buffer.from(body)));
measure('JSON.parse of the same body', () => void JSON.parse(body.toString()));
measure('key: Chaskey-12', () => {
  for (let i = 0; i < EVENTS; i++) hasher.hashKey(batch, i);
});
measure('key: SHA-256 of node:crypto', () => {
  for (const name of names) hash('sha256', name, 'buffer');
});
measure('digest of the content', () => {
  for (let i = 0; i < EVENTS; i++) hasher.digest(batch, i);
});
for (const level of [-5, 1, 2, 3]) {
  const options = { params: { [constants.ZSTD_c_compressionLevel]: level }, chunkSize: texts.length };
  const packed = zstdCompressSync(texts, options);
  const bytes = (packed.length / EVENTS).toFixed(1);
  measure(`zstd level ${level}, ${bytes} bytes an event`, () => void zstdCompressSync(texts, options));
}
const packed = zstdCompressSync(texts, { params: { [constants.ZSTD_c_compressionLevel]: 1 } });
measure('unpack into one buffer', () => void zstdDecompressSync(packed, { chunkSize: texts.length }));
measure('unpack into pieces of 16 KiB', () => void zstdDecompressSync(packed));

const filters = Array.from({ length: 1000 }, (_, k) => ({ topicPatterns: [[`site.${k}.>`]] }));
const topics = Array.from({ length: EVENTS }, (_, k) => `site.${k * 16}.door`);
const routes = new TopicRoutes<number>();
for (const [k, filter] of filters.entries()) routes.add(filter, k);
const asked = filters.map((filter) => compileTopicFilter(filter));
measure('who of 1000 follows a topic: the tree', () => {
  for (const topic of topics) routes.candidates(topic);
});
measure(
  'who of 1000 follows a topic: each in turn',
  () => {
    for (const topic of topics) asked.filter((isMeant) => isMeant(topic));
  },
  4,
);

const [answers, commits] = [new PublishFigures(), new CommitFigures()];
measure('metrics: an answer', () => {
  for (let i = 0; i < EVENTS; i++) {
    const startMs = performance.now();
    answers.published(200, performance.now() - startMs + (i % 20));
  }
});
measure('metrics: a commit of one event', () => {
  const commit = { accepted: 1, duplicates: 0, conflicts: 0, syncMs: 1 };
  for (let i = 0; i < EVENTS; i++) commits.committed({ ...commit, ms: i % 20 });
});

await measureHandOvers();

function measure(what: string, work: () => void, rounds = ROUNDS): void {
  const roundsMs = Array.from({ length: rounds }, () => {
    const startMs = performance.now();
    work();
    return performance.now() - startMs;
  }).toSorted((a, b) => a - b);
  const nanos = (roundsMs[rounds / 2]! * 1e6) / EVENTS;
  process.stdout.write(`${what.padEnd(40)} ${nanos.toFixed(0).padStart(6)} ns\n`);
}
