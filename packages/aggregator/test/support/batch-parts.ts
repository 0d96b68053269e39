import {
  EVENT_ID,
  type EventBatch,
  PAYLOAD,
  SOURCE,
  TIMESTAMP,
  TOPIC,
  partText,
} from '../../src/event/event-batch.ts';

export interface Parts {
  id: string;
  topic: string;
  source: string;
  timestamp: string;
  payload: string;
}

/** The parts of each event of a batch, as texts. */
export function partsOfEach(batch: EventBatch): Parts[] {
  return Array.from({ length: batch.count }, (_, i) => ({
    id: partText(batch, i, EVENT_ID),
    topic: partText(batch, i, TOPIC),
    source: partText(batch, i, SOURCE),
    timestamp: partText(batch, i, TIMESTAMP),
    payload: partText(batch, i, PAYLOAD),
  }));
}
