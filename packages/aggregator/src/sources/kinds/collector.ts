import { Mapping, mappingFaults } from '../collector/mapping.ts';
import { eventsOf } from '../collector/record-events.ts';
import { readRecords } from '../collector/record-reader.ts';
import { eventsIn } from '../collector/request.ts';
import type { SourceKind } from '../source.ts';

/**
 * A collector of logs, or a logger's transport, such as Fluent Bit, Vector, Logstash, rsyslog, syslog-ng, pino or winston. It sends JSON
 * of its own, and the definition says which fields of its records are what (collector/mapping.ts).
 */
export const collector: SourceKind = {
  secrets: 'none',
  maxAgeMs: null,
  takes: new Set(['id', 'timestamp', 'digest', 'records']),
  bodies: 'events',
  answersHead: true,
  faultsIn: (source) => mappingFaults(source).map((fault) => ({ index: null, ...fault })),
  receive: async (delivery, source) => {
    const mapping = new Mapping(source);
    const batch = await eventsIn(delivery, {
      read: (body) => readRecords(body, mapping),
      eventsOf: (records) => eventsOf(records, mapping, delivery.bytesMax),
    });
    return { kind: 'events', batch };
  },
};
