import { eventSchema } from '@chronicleweaver/protocol';
import { EVENT_ID, PAYLOAD, SOURCE, TIMESTAMP, TOPIC } from './event-batch.ts';

/** A field of an event in the form that the reader needs, derived from the published schema. */
export interface Field {
  readonly name: string;
  readonly nameBytes: Buffer;
  readonly part: typeof EVENT_ID | typeof TOPIC | typeof SOURCE | typeof TIMESTAMP | typeof PAYLOAD;
  readonly bit: number;
  readonly charsMin: number;
  readonly charsMax: number;
}

const PARTS = {
  event_id: EVENT_ID,
  topic: TOPIC,
  source: SOURCE,
  payload: PAYLOAD,
  timestamp: TIMESTAMP,
} as const;

const FIELD_LIST: readonly Field[] = eventSchema.required.map((name, i) => {
  const schema = eventSchema.properties[name];
  return {
    name,
    nameBytes: Buffer.from(name),
    part: PARTS[name],
    bit: 1 << i,
    charsMin: 'minLength' in schema ? schema.minLength : 0,
    charsMax: 'maxLength' in schema ? schema.maxLength : Infinity,
  };
});

/** Indexed by the length of the name: no two fields' names are equally long. */
export const FIELD_OF_LENGTH: readonly (Field | undefined)[] = Array.from({ length: 16 }, (_, length) =>
  FIELD_LIST.find((field) => field.nameBytes.length === length),
);

export const FIELDS = new Map(FIELD_LIST.map((field) => [field.name, field]));
/** The bits of all fields together. */
export const ALL_PRESENT = (1 << FIELD_LIST.length) - 1;
