import { LIMITS } from './limits.ts';

/** An event as a publisher sends it. `timestamp` is ISO 8601 and comes back exactly as it was sent. */
export interface Event {
  event_id: string;
  topic: string;
  source: string;
  payload: Payload;
  timestamp: string;
}

export interface Payload {
  message?: string;
  timestamp?: string;
  [name: string]: unknown;
}

/** An event as a reader receives it. `received_at` is the time of its commit, ISO 8601, UTC. */
export interface StoredEvent extends Event {
  offset: number;
  received_at: string;
}

/**
 * The JSON Schema (2020-12) of one event. The aggregator's reader takes its field names and lengths from here, and
 * `/openapi.json` shows it, so the two cannot disagree. Lengths are in code points, as JSON Schema counts them.
 */
export const eventSchema = {
  $id: 'Event',
  title: 'Event',
  type: 'object',
  additionalProperties: false,
  required: ['event_id', 'topic', 'source', 'payload', 'timestamp'],
  properties: {
    event_id: {
      type: 'string',
      minLength: 1,
      maxLength: LIMITS.eventIdCharsMax,
      description: 'Unique within its topic, for ever. The first event under an id is kept.',
    },
    topic: {
      type: 'string',
      minLength: 1,
      maxLength: LIMITS.topicCharsMax,
      description: 'What the event is about.',
    },
    source: { type: 'string', minLength: 1, maxLength: LIMITS.sourceCharsMax, description: 'Who sent it.' },
    payload: {
      type: 'object',
      description: 'Any JSON object; numbers come back digit for digit.',
      properties: {
        message: { type: 'string' },
        timestamp: { type: 'string', format: 'iso-date-time', description: 'ISO 8601.' },
      },
      additionalProperties: true,
    },
    timestamp: {
      type: 'string',
      minLength: 1,
      maxLength: LIMITS.timestampCharsMax,
      format: 'iso-date-time',
      description: 'ISO 8601; without a zone it means UTC. Returned exactly as it was sent.',
    },
  },
  examples: [
    {
      event_id: 'event-001',
      topic: 'user-actions',
      source: 'web-app',
      payload: { message: 'User logged in', timestamp: '2025-10-28T10:00:00Z' },
      timestamp: '2025-10-28T10:00:00Z',
    },
  ],
} as const;
