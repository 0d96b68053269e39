import type { KindName, Source } from '../../sources/source.ts';
import { problems } from '../schemas.ts';
import { deliveryBody } from './schemas.ts';

export interface FixedTopics {
  /** Templates, as `Source` has them. */
  readonly lokiTopic: string;
  readonly segmentTopic: string;
}

/** Addresses that senders have built in, and the sources that they mean. */
export function fixedAddresses({ lokiTopic, segmentTopic }: FixedTopics) {
  return [
    {
      address: '/loki/api/v1/push',
      source: fixed('loki', lokiTopic),
      schema: {
        ...SCHEMA,
        summary: 'Take lines that are pushed as to Loki, in JSON',
        response: { 204: { description: 'Stored', type: 'null' }, ...REFUSALS },
      },
    },
    {
      address: '/v1/batch',
      source: fixed('segment', segmentTopic),
      schema: {
        ...SCHEMA,
        summary: "Take messages from Segment's libraries",
        response: { 200: { description: 'Stored', type: 'object' }, ...REFUSALS },
      },
    },
  ];
}

const REFUSALS = problems(400, 408, 413, 415, 422, 503);

const SCHEMA = {
  description:
    'Answered after the events are committed and synced to disk; what is sent again is a duplicate.',
  tags: ['sources'],
  body: deliveryBody,
};

function fixed(kind: KindName, topic: string): Source {
  return { name: kind, kind, topic, source: kind, secrets: [], maxAgeMs: null };
}
