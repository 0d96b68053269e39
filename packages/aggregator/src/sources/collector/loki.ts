import { type FieldError, LIMITS } from '@chronicleweaver/protocol';
import { BatchWriter, WrittenName } from '../../event/batch-writer.ts';
import { elementsOf } from '../../event/json-place.ts';
import { shortened } from '../../event/template.ts';
import type { TopicTemplate } from '../../event/topic-template.ts';
import { RecordDigests } from '../../records/digests.ts';
import { nanosecondsText } from '../../records/time-text.ts';
import { freeMemory } from '../../released-memory.ts';
import { FieldPlaces } from './field-places.ts';
import type { RecordEvents } from './record-events.ts';
import { tooMany } from './request.ts';
import { type ReadRecords, type Records, readRecords } from './record-reader.ts';

/** What a push consists of: streams of lines that share their labels. */
const PLACES = new FieldPlaces();
const STREAM = PLACES.placeOf('stream');
const VALUES = PLACES.placeOf('values');

/**
 * Reads a push to Loki in its JSON encoding (https://grafana.com/docs/loki/latest/reference/loki-http-api/#ingest-logs), each of whose
 * streams becomes a record here. As `readRecords`, it consumes the body.
 */
export function readPush(body: Buffer): ReadRecords {
  return readRecords(body, { places: PLACES, wrapper: 'streams' });
}

interface LokiRules {
  /** Its fields are labels. */
  readonly topic: TopicTemplate;
  /** The source of lines whose labels name none. */
  readonly sender: string;
  /** The most bytes of all events together. */
  readonly bytesMax: number;
}

/**
 * Makes an event of each line, or of none; yields after each. The caller owns the memory of the batch. Throws TooManyBytes, or a
 * Refusal.
 *
 * An event is known by a digest of its time, labels, line and metadata, and by how many equal ones stand before it in the push.
 */
export function* lokiEventsOf(
  streams: Records,
  { topic, sender, bytesMax }: LokiRules,
): Generator<undefined, RecordEvents> {
  const written = new BatchWriter(bytesMax);
  const digests = new RecordDigests();
  const errors: FieldError[] = [];
  let errorsFound = 0;
  let lines = 0;
  const refuse = (field: string, message: string): void => {
    errorsFound += 1;
    if (errors.length < LIMITS.problemErrorsMax) errors.push({ index: null, field, message });
  };
  for (let i = 0; i < streams.count; i++) {
    const labels = parsed(streams.fieldOf(i, STREAM) ?? '{}');
    const values = streams.fieldOf(i, VALUES);
    const place = `streams[${i}]`;
    if (!isStrings(labels))
      refuse(`${place}.stream`, 'expected an object of strings, the labels, which fits an event');
    if (!values?.startsWith('[')) refuse(`${place}.values`, 'expected an array of lines');
    if (!isStrings(labels) || !values?.startsWith('[')) continue;
    const topicName = new WrittenName(topic.topicOf((name) => labelOf(labels, LABELS[name] ?? [name])));
    const source = new WrittenName(sourceOf(labels) || sender);
    let n = -1;
    for (const text of elementsOf(values)) {
      n += 1;
      if ((lines += 1) > LIMITS.batchEventsMax) throw tooMany();
      const value = parsed(text);
      if (!isEntry(value)) {
        refuse(`${place}.values[${n}]`, ENTRY_EXPECTED);
        yield;
        continue;
      }
      const [time, line, metadata = {}] = value;
      const timeNs = BigInt(time);
      const timestamp = nanosecondsText(timeNs);
      const beside = Object.keys(metadata).length === 0 ? '' : `,"metadata":${JSON.stringify(metadata)}`;
      const payload = `{"body":${JSON.stringify(line)},"labels":${JSON.stringify(labels)}${beside}}`;
      const id = new WrittenName(digests.idOf(`${timestamp}\n${payload}`));
      const timeMs = Number(timeNs / 1_000_000n);
      if (!written.add({ id, topic: topicName, source, payload, timestamp, timeMs })) {
        refuse(
          `${place}.values[${n}]`,
          `is too large: as an event it would exceed ${LIMITS.eventBytesMax} bytes`,
        );
      }
      yield;
    }
  }
  const batch = written.batch();
  if (errorsFound === 0) return { kind: 'batch', batch };
  freeMemory(batch.bytes);
  return { kind: 'invalid', errors, errorsFound };
}

/**
 * No labels and no line are longer, though each letter may be an escape that takes three times its bytes. Values of longer texts
 * could take fifty times their memory.
 */
const TEXT_CHARS_MAX = 3 * LIMITS.eventBytesMax;

/** Undefined if it is too long to be a part of an event. */
function parsed(json: string): unknown {
  return json.length > TEXT_CHARS_MAX ? undefined : JSON.parse(json);
}

type Strings = Readonly<Record<string, string>>;
type Entry = [time: string, line: string, metadata?: Strings];

const ENTRY_EXPECTED =
  'expected a string of nanoseconds since 1970, a string, the line, and perhaps an object of strings, which fit an event';

/** Nanoseconds up to the year 5138: no time of a log is later. */
const NANOSECONDS = /^\d{1,20}$/;

function isEntry(value: unknown): value is Entry {
  if (!Array.isArray(value) || value.length < 2 || value.length > 3) return false;
  const [time, line, metadata] = value as unknown[];
  const isTime = typeof time === 'string' && NANOSECONDS.test(time);
  return isTime && typeof line === 'string' && (value.length === 2 || isStrings(metadata));
}

function isStrings(value: unknown): value is Strings {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
  return Object.values(value).every((one) => typeof one === 'string');
}

/** Where the name of a service is looked for, as Loki does it: the first of these labels. */
const LABELS: Readonly<Record<string, readonly string[]>> = {
  service_name: ['service_name', 'service', 'app', 'application', 'name', 'container', 'job'],
};

/** Labels that say who sent a line. */
const SOURCE_LABELS = ['host', 'hostname', 'instance', 'pod', ...LABELS['service_name']!] as const;

function labelOf(labels: Strings, names: readonly string[]): string {
  for (const name of names) if (Object.hasOwn(labels, name) && labels[name] !== '') return labels[name]!;
  return '';
}

/** Empty if no label says it. */
function sourceOf(labels: Strings): string {
  return shortened(labelOf(labels, SOURCE_LABELS).replaceAll('\0', '_'), LIMITS.sourceCharsMax);
}
