import { type FieldError, LIMITS } from '@chronicleweaver/protocol';
import { BatchWriter, WrittenName } from '../../event/batch-writer.ts';
import type { EventBatch } from '../../event/event-batch.ts';
import { shortened as excerpt } from '../../event/json-scanner.ts';
import { shortened } from '../../event/template.ts';
import { topicPart } from '../../event/topic-template.ts';
import { RecordDigests } from '../../records/digests.ts';
import { freeMemory } from '../../released-memory.ts';
import type { Mapping, PlacedTemplate } from './mapping.ts';
import type { Records } from './record-reader.ts';
import { NO_TIME, type RecordTime, timeOf } from './record-time.ts';

/** The events of a request, or everything that keeps its records from being events. */
export type RecordEvents =
  { kind: 'batch'; batch: EventBatch } | { kind: 'invalid'; errors: FieldError[]; errorsFound: number };

/**
 * Makes an event of each record, or of none. Yields after each, so that others can have a turn in between. The caller owns the memory
 * of the batch. Throws TooManyBytes.
 *
 * @param bytesMax the most bytes of all events together
 */
export function eventsOf(
  records: Records,
  mapping: Mapping,
  bytesMax: number,
): Generator<undefined, RecordEvents> {
  return new RecordMapper(records, mapping, bytesMax).run();
}

/** The text of an event's payload. What collectors send may be no payload by itself: `message` need not be a string there. */
function payloadOf(record: string): string {
  return `{"body":${record}}`;
}

/** What is wrong with the record that is being mapped; noted already. */
class Unfit extends Error {}

class RecordMapper {
  readonly #records: Records;
  readonly #mapping: Mapping;
  readonly #written: BatchWriter;
  readonly #digests = new RecordDigests();
  readonly #errors: FieldError[] = [];
  #errorsFound = 0;
  #index = 0;
  /** Names that the record before had, too: most records share them. */
  #topic = new WrittenName('-');
  #source = new WrittenName('-');

  constructor(records: Records, mapping: Mapping, bytesMax: number) {
    this.#records = records;
    this.#mapping = mapping;
    this.#written = new BatchWriter(bytesMax);
  }

  *run(): Generator<undefined, RecordEvents> {
    for (; this.#index < this.#records.count; this.#index++) {
      try {
        this.#addEvent();
      } catch (error) {
        if (!(error instanceof Unfit)) throw error;
      }
      yield;
    }
    const batch = this.#written.batch();
    if (this.#errorsFound === 0) return { kind: 'batch', batch };
    freeMemory(batch.bytes);
    return { kind: 'invalid', errors: this.#errors, errorsFound: this.#errorsFound };
  }

  #addEvent(): void {
    const text = this.#records.textOf(this.#index);
    const time = this.#time();
    const { topic, source } = this.#mapping;
    const topicText = shortened(this.#filled(topic, 'topic', topicPart), LIMITS.topicCharsMax);
    const sourceText = shortened(this.#filled(source, 'source', sourcePart), LIMITS.sourceCharsMax);
    if (topicText !== this.#topic.text) this.#topic = new WrittenName(this.#needed(topicText, 'topic'));
    if (sourceText !== this.#source.text) this.#source = new WrittenName(this.#needed(sourceText, 'source'));
    const id = this.#named() ?? this.#digests.idOf(this.#toldApartBy(text, time));
    const { text: timestamp, ms: timeMs } = time ?? NO_TIME;
    const event = { id: new WrittenName(id), topic: this.#topic, source: this.#source, timestamp, timeMs };
    if (!this.#written.add({ ...event, payload: payloadOf(text) })) {
      throw this.#unfit(null, `is too large: as an event it would exceed ${LIMITS.eventBytesMax} bytes`);
    }
  }

  /** Undefined if the record has none. */
  #time(): RecordTime | undefined {
    const { timestamp, isTimestampNamed } = this.#mapping;
    for (const place of timestamp) {
      const value = this.#records.fieldOf(this.#index, place);
      if (value === undefined) continue;
      const time = timeOf(value);
      if (time !== undefined) return time;
      if (isTimestampNamed) {
        throw this.#unfit('timestamp', `expected a time or a number since 1970, got ${excerpt(value)}`);
      }
    }
    return undefined;
  }

  /** Undefined if nothing names one. */
  #named(): string | undefined {
    const { id: template } = this.#mapping;
    if (template === null) return undefined;
    const id = this.#filled(template, 'id', (value) => value);
    if (id === '') return undefined;
    if (shortened(id, LIMITS.eventIdCharsMax) !== id) {
      throw this.#unfit('id', `is longer than ${LIMITS.eventIdCharsMax} characters`);
    }
    if (id.includes('\0')) throw this.#unfit('id', 'contains a NUL character, which names must not contain');
    return id;
  }

  /** What the id of a record without one is a digest of. */
  #toldApartBy(text: string, time: RecordTime | undefined): string {
    const { digest } = this.#mapping;
    if (digest === null) {
      // Two equal lines would be one, whenever they were logged.
      if (time === undefined) {
        throw this.#unfit(
          'timestamp',
          'is missing, and so is an id: this record could not be told from an equal one that is logged later',
        );
      }
      return text;
    }
    const values = digest.map((place) => this.#records.fieldOf(this.#index, place) ?? '');
    if (values.every((value) => value === '')) {
      throw this.#unfit('digest', 'none of the fields that tell records apart is there');
    }
    return values.join('\n');
  }

  #filled({ template, places }: PlacedTemplate, member: string, partOf: (value: string) => string): string {
    return template.fill(({ field, fallback }, place) => {
      const text = scalarText(this.#records.fieldOf(this.#index, places[place]!));
      if (text !== '') return partOf(text);
      if (fallback !== undefined) return fallback;
      const advice = `give it a default, as in {${field}|unknown}, if it may be missing`;
      throw this.#unfit(
        field,
        `is missing, and ${JSON.stringify(template.text)} needs it: ${advice} (${member})`,
      );
    });
  }

  #needed(text: string, member: string): string {
    if (text === '') throw this.#unfit(member, 'comes out empty');
    return text;
  }

  #unfit(field: string | null, message: string): Unfit {
    this.#errorsFound += 1;
    if (this.#errors.length < LIMITS.problemErrorsMax) {
      this.#errors.push({ index: this.#index, field, message });
    }
    return new Unfit();
  }
}

/** What a value says in a name: a string, a number or a boolean itself, anything else nothing. */
function scalarText(value: string | undefined): string {
  if (value === undefined || value === 'null' || /^[{[]/.test(value)) return '';
  return value.startsWith('"') ? (JSON.parse(value) as string) : value;
}

function sourcePart(text: string): string {
  return text.replaceAll('\0', '_');
}
