import { LIMITS } from '@chronicleweaver/protocol';
import { BatchWriter, WrittenName } from '../event/batch-writer.ts';
import type { EventBatch } from '../event/event-batch.ts';
import { shortened } from '../event/template.ts';
import type { TopicTemplate } from '../event/topic-template.ts';
import { RecordDigests } from '../records/digests.ts';
import { nanosecondsText } from '../records/time-text.ts';
import type { LogRecord, LogRequest, ResourceLogs, ScopeLogs } from './log-request.ts';
import { type Attributes, NOTHING, mapText, stringText, textOf } from './values.ts';

/** How records become events. */
export interface RecordRules {
  readonly topic: TopicTemplate;
  /** The attribute of a record that identifies it. */
  readonly idAttribute: string;
  /** Whether events may be published to this topic. */
  readonly mayUse: (topic: string) => boolean;
  /** The most bytes of all events of a request together. */
  readonly bytesMax: number;
}

/** The events of a request, and what was refused of it. */
export interface RecordEvents {
  readonly batch: EventBatch;
  readonly refused: Refusals;
}

export interface Refusals {
  /** Records whose event would exceed the limit (EVT-9). */
  readonly tooLarge: number;
  /** Records of topics that may not be used. */
  readonly foreign: number;
  /** One of these topics. */
  readonly foreignTopic: string | null;
}

/**
 * Makes an event of each record; yields after each, so that others can have a turn in between. The caller owns the memory
 * of the batch. Throws TooManyBytes.
 *
 * An event's id is what the id attribute says, else a digest of the event's time and payload. The payload holds the
 * whole record, so two records have the same digest only if they are the same.
 */
export function* eventsOf(request: LogRequest, rules: RecordRules): Generator<undefined, RecordEvents> {
  const written = new BatchWriter(rules.bytesMax);
  const refused = { tooLarge: 0, foreign: 0, foreignTopic: null as string | null };
  const digests = new RecordDigests();
  for (const resource of request.resources) {
    const topic = new WrittenName(topicIn(rules.topic, resource.attributes));
    if (!rules.mayUse(topic.text)) {
      refused.foreign += resource.scopes.reduce((sum, { records }) => sum + records.length, 0);
      refused.foreignTopic ??= topic.text;
      continue;
    }
    const source = new WrittenName(sourceOf(resource.attributes));
    const end = resourceText(resource);
    for (const scope of resource.scopes) {
      const tail = `${scopeText(scope)}${end}}`;
      for (const record of scope.records) {
        const payload = `{${recordText(record)}${tail}`;
        const timeNs = record.timeNs === 0n ? record.observedNs : record.timeNs;
        // A time that is not known is 1970: whatever else it were, a retry would have another.
        const timestamp = nanosecondsText(timeNs);
        const id =
          namedId(record.attributes.get(rules.idAttribute)) ?? digests.idOf(`${timestamp}\n${payload}`);
        const event = { id: new WrittenName(id), topic, source, payload, timestamp };
        if (!written.add({ ...event, timeMs: Number(timeNs / 1_000_000n) })) refused.tooLarge += 1;
        yield;
      }
    }
  }
  return { batch: written.batch(), refused };
}

function topicIn(template: TopicTemplate, resource: Attributes): string {
  return template.topicOf(
    (name) => textOf(resource.get(name)),
    (name) => UNNAMED[name] ?? 'unknown',
  );
}

/** The name that OpenTelemetry gives to a service without one; everything else that is missing is unknown. */
const UNNAMED: Readonly<Record<string, string>> = { 'service.name': 'unknown_service' };

/**
 * Undefined if the attribute is no string or number that can be an id (EVT-2, EVT-3): then the digest, which covers it, is
 * one.
 */
function namedId(value: string | undefined): string | undefined {
  if (value === undefined || !/^["\d-]/.test(value)) return undefined;
  const id = textOf(value);
  const isId = id !== '' && !id.includes('\0') && shortened(id, LIMITS.eventIdCharsMax) === id;
  return isId ? id : undefined;
}

/** Who sent it: the instance of the service, else the service. */
function sourceOf(resource: Attributes): string {
  const named = textOf(resource.get('service.instance.id')) || textOf(resource.get('service.name'));
  const source = shortened(named.replaceAll('\0', '_'), LIMITS.sourceCharsMax);
  return source === '' ? 'unknown_service' : source;
}

/** The members of the payload up to the scope. What is not set is left out. */
function recordText(record: LogRecord): string {
  const { severityNumber, severityText, eventName, body, attributes, traceId, spanId } = record;
  const severity = severityText || severityName(severityNumber);
  let text = '';
  if (severity !== '') text += `"severity":${stringText(severity)},`;
  if (severityNumber !== 0) text += `"severity_number":${severityNumber},`;
  if (eventName !== '') text += `"event_name":${stringText(eventName)},`;
  if (body !== NOTHING) text += `"body":${body},`;
  if (attributes.size > 0) text += `"attributes":${mapText(attributes)},`;
  if (record.droppedAttributes !== 0) text += `"dropped_attributes_count":${record.droppedAttributes},`;
  if (traceId !== '') text += `"trace_id":"${traceId}",`;
  if (spanId !== '') text += `"span_id":"${spanId}",`;
  if (record.flags !== 0) text += `"flags":${record.flags},`;
  return text;
}

function scopeText({ name, version, attributes, droppedAttributes, schemaUrl }: ScopeLogs): string {
  let text = '';
  if (name !== '') text += `,"name":${stringText(name)}`;
  if (version !== '') text += `,"version":${stringText(version)}`;
  if (attributes.size > 0) text += `,"attributes":${mapText(attributes)}`;
  if (droppedAttributes !== 0) text += `,"dropped_attributes_count":${droppedAttributes}`;
  if (schemaUrl !== '') text += `,"schema_url":${stringText(schemaUrl)}`;
  return text === '' ? '' : `"scope":{${text.slice(1)}},`;
}

function resourceText({ attributes, droppedAttributes, schemaUrl }: ResourceLogs): string {
  let text = `"resource":${mapText(attributes)}`;
  if (droppedAttributes !== 0) text += `,"resource_dropped_attributes_count":${droppedAttributes}`;
  if (schemaUrl !== '') text += `,"resource_schema_url":${stringText(schemaUrl)}`;
  return text;
}

const SEVERITIES = ['TRACE', 'DEBUG', 'INFO', 'WARN', 'ERROR', 'FATAL'] as const;

/** The short name that OpenTelemetry gives to a number: 9 is INFO, 10 is INFO2. Empty if it has none. */
function severityName(number: number): string {
  const step = (number - 1) % 4;
  const name = SEVERITIES[Math.floor((number - 1) / 4)];
  if (name === undefined) return '';
  return step === 0 ? name : `${name}${step + 1}`;
}
