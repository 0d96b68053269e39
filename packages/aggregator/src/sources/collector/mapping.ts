import { LIMITS } from '@chronicleweaver/protocol';
import { Template, templateFault } from '../../event/template.ts';
import { FieldPlaces, fieldFault } from './field-places.ts';

/** How a collector's records become events, as it is written. */
export interface MappingDefinition {
  /** A template. */
  readonly topic: string;
  /** A template, or the JSON pointer of a field. Records for which it comes out empty are known by a digest, as all are without it. */
  readonly id?: string | undefined;
  /** The fields that tell records without an id apart; without them it is all of the record. */
  readonly digest?: readonly string[] | undefined;
  /** A template. */
  readonly source: string;
  /** The field that is the time of a record. */
  readonly timestamp?: string | undefined;
  /** The member of each object in a body that holds its records, where these objects are none themselves. */
  readonly records?: string | undefined;
}

/** Where records have their time, if nobody says: Vector and winston, Logstash, pino, Fluent Bit, and others. The first one counts. */
const TIME_FIELDS = ['timestamp', '@timestamp', 'time', 'date', 'ts'] as const;

/** A template, and for each of its placeholders the number of its field. */
export interface PlacedTemplate {
  readonly template: Template;
  readonly places: readonly number[];
}

/** How records become events, ready for use. */
export class Mapping {
  readonly places = new FieldPlaces();
  readonly wrapper: string | null;
  readonly topic: PlacedTemplate;
  readonly id: PlacedTemplate | null;
  readonly source: PlacedTemplate;
  /** Null for all of the record. */
  readonly digest: readonly number[] | null;
  readonly timestamp: readonly number[];
  /** Whether somebody chose the field. */
  readonly isTimestampNamed: boolean;

  /** @param definition in which `mappingFaults` finds nothing */
  constructor({ topic, id, digest, source, timestamp, records }: MappingDefinition) {
    this.topic = this.#placed(topic);
    this.id = id === undefined || id === DIGEST ? null : this.#placed(idTemplate(id));
    this.source = this.#placed(source);
    this.digest = digest?.map((field) => this.places.placeOf(field)) ?? null;
    const timeFields = timestamp === undefined ? TIME_FIELDS : [timestamp];
    this.timestamp = timeFields.map((field) => this.places.placeOf(field));
    this.isTimestampNamed = timestamp !== undefined;
    this.wrapper = records ?? null;
  }

  #placed(text: string): PlacedTemplate {
    const template = new Template(text);
    return { template, places: template.placeholders.map(({ field }) => this.places.placeOf(field)) };
  }
}

/** Says that records have no ids. */
const DIGEST = 'digest';

function idTemplate(id: string): string {
  return id.startsWith('/') ? `{${id}}` : id;
}

interface MappingFault {
  readonly field: keyof MappingDefinition;
  readonly message: string;
}

/** Everything that is wrong with the templates and the names of a definition. */
export function mappingFaults({ topic, id, digest, source, timestamp }: MappingDefinition): MappingFault[] {
  const faults: MappingFault[] = [];
  const note = (field: MappingFault['field'], message: string | undefined): void => {
    if (message !== undefined) faults.push({ field, message });
  };
  note('topic', nameFault(topic, LIMITS.topicCharsMax));
  note('source', nameFault(source, LIMITS.sourceCharsMax));
  if (id !== undefined && id !== DIGEST) note('id', idFault(idTemplate(id)));
  for (const name of digest ?? []) note('digest', fieldFault(name));
  if (timestamp !== undefined) note('timestamp', fieldFault(timestamp));
  return faults;
}

function nameFault(text: string, charsMax: number): string | undefined {
  return templateFault(text, charsMax) ?? firstFault(new Template(text));
}

function idFault(text: string): string | undefined {
  const fault = nameFault(text, LIMITS.eventIdCharsMax);
  if (fault !== undefined || new Template(text).placeholders.length > 0) return fault;
  return 'names no field, so that all records would be one: put names of fields in braces, as in {host}/{number}';
}

function firstFault({ placeholders }: Template): string | undefined {
  return placeholders.map(({ field }) => fieldFault(field)).find((fault) => fault !== undefined);
}
