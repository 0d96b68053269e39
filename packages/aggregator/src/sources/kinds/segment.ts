import { Mapping, type MappingDefinition, mappingFaults } from '../collector/mapping.ts';
import { eventsOf } from '../collector/record-events.ts';
import { readRecords } from '../collector/record-reader.ts';
import { eventsIn } from '../collector/request.ts';
import type { Source, SourceKind } from '../source.ts';

/** Segment's libraries, and those that send as they do (https://segment.com/docs/connections/sources/catalog/libraries/server/http-api/#batch). */
export const segment: SourceKind = {
  secrets: 'none',
  maxAgeMs: null,
  takes: new Set(),
  bodies: 'events',
  answersHead: true,
  faultsIn: (source) => mappingFaults(mappingOf(source)).map((fault) => ({ index: null, ...fault })),
  receive: async (delivery, source) => {
    const mapping = new Mapping(mappingOf(source));
    const batch = await eventsIn(delivery, {
      read: (body) => readRecords(body, mapping),
      eventsOf: (records) => eventsOf(records, mapping, delivery.bytesMax),
    });
    return { kind: 'events', batch, answer: () => ({ status: 200, type: 'application/json', body: DONE }) };
  },
};

/** What stands beside the batch, such as `sentAt`, differs from try to try. */
function mappingOf({ topic, source }: Source): MappingDefinition {
  return { topic, source, id: '/messageId', timestamp: 'timestamp', records: 'batch' };
}

const DONE = '{"success":true}';
