import { TopicTemplate } from '../../event/topic-template.ts';
import { lokiEventsOf, readPush } from '../collector/loki.ts';
import { eventsIn } from '../collector/request.ts';
import type { SourceKind } from '../source.ts';

/** Whatever pushes to Grafana's Loki, in JSON: pino-loki, Fluent Bit's `loki` output, rsyslog's `lokirest`. */
export const loki: SourceKind = {
  secrets: 'none',
  maxAgeMs: null,
  takes: new Set(),
  bodies: 'events',
  answersHead: true,
  faultsIn: () => [],
  receive: async (delivery, source) => {
    const { bytesMax } = delivery;
    const rules = { topic: new TopicTemplate(source.topic), sender: source.source, bytesMax };
    const batch = await eventsIn(delivery, {
      read: readPush,
      eventsOf: (streams) => lokiEventsOf(streams, rules),
    });
    // What Loki answers.
    return { kind: 'events', batch, answer: () => ({ status: 204 }) };
  },
};
