import { Type } from '../../json-schema.ts';

const string = { type: 'string', minLength: 1 } as const;

/** What the scanner accepts (cloudevents/json-format.ts): this describes it, the scanner checks it. */
const cloudEventSchema = {
  title: 'CloudEvent',
  description: 'CloudEvents 1.0, JSON format. Other members are extension attributes.',
  type: 'object',
  required: ['specversion', 'id', 'source', 'type'],
  properties: {
    specversion: { const: '1.0' },
    id: string,
    source: string,
    type: string,
    time: { type: ['string', 'null'], description: 'As RFC 3339 has it.' },
    subject: { type: ['string', 'null'] },
    datacontenttype: { type: ['string', 'null'] },
    dataschema: { type: ['string', 'null'] },
    data: {},
    data_base64: { type: ['string', 'null'] },
  },
  examples: [
    {
      specversion: '1.0',
      id: 'order-1-placed',
      source: '/shop',
      type: 'com.example.order.placed',
      time: '2025-10-28T10:00:00Z',
      data: { amount: 12.5 },
    },
  ],
} as const;

export const cloudEvent = Type.Unsafe(cloudEventSchema);
export const cloudEventBatch = Type.Unsafe({ type: 'array', items: cloudEventSchema });
export const cloudEventBody = Type.Union([cloudEvent, cloudEventBatch]);
