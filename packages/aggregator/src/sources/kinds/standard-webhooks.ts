import { isUtf8 } from 'node:buffer';
import type { FieldError } from '@chronicleweaver/protocol';
import { webhookKeyOf, webhookSecretFault } from '../../webhooks/sender.ts';
import { parsePointer } from '../../event/json-place.ts';
import { headerIn, textIn, timeIn } from '../one-event.ts';
import { requireRecent, requireSigned, signatureBytes } from '../signatures.ts';
import { type Delivery, Refusal, type Source } from '../source.ts';
import { FIVE_MINUTES_MS, signedSeconds, webhook } from '../webhook.ts';

/**
 * Standard Webhooks 1.0 (https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md), as many send it,
 * this service among them; also by the older names of its headers, which begin with `svix-`. The id is the same in each attempt,
 * while the time in the header is that of the attempt. That of the event may be in the body.
 */
export const standardWebhooks = webhook({
  maxAgeMs: FIVE_MINUTES_MS,
  takes: new Set(['timestamp']),
  faultsIn: ({ secrets, timestamp }) => [...secretFaults(secrets), ...timestampFaults(timestamp)],
  verify: (delivery, { secrets, maxAgeMs }) => {
    const [id, time, text] = ['id', 'timestamp', 'signature'].map((name) => headerOf(delivery, name));
    if (id === undefined || text === undefined) {
      throw new Refusal('unsigned', 'the header webhook-id or webhook-signature is missing');
    }
    const timeS = signedSeconds(time);
    const signatures = text
      .split(' ')
      .filter((one) => one.startsWith(PREFIX))
      .map((one) => signatureBytes(one.slice(PREFIX.length), 'base64', 'sha256'))
      .filter((bytes) => bytes !== undefined);
    if (signatures.length === 0) throw new Refusal('unsigned', 'the header webhook-signature has no v1');
    requireSigned({
      keys: secrets.map(webhookKeyOf),
      algorithm: 'sha256',
      content: [`${id}.${time}.`, delivery.body],
      signatures,
    });
    requireRecent(timeS, maxAgeMs ?? FIVE_MINUTES_MS, delivery.nowMs);
  },
  made: (delivery, content, { timestamp = '/timestamp' }) => {
    const parts = { headers: delivery.headers, content };
    return {
      id: headerOf(delivery, 'id'),
      idPlace: 'the header webhook-id',
      headers: ['content-type'],
      type: textIn(parts, '/type'),
      time: timeIn(textIn(parts, timestamp)),
    };
  },
});

const PREFIX = 'v1,';

function headerOf({ headers }: Delivery, name: string): string | undefined {
  const value = headerIn(headers, `webhook-${name}`) ?? headerIn(headers, `svix-${name}`);
  return value === undefined ? undefined : asSigned(value);
}

/** Node.js reads the bytes of a header as Latin-1. Who sends an id as UTF-8 has signed that. */
function asSigned(value: string): string {
  const bytes = Buffer.from(value, 'latin1');
  return isUtf8(bytes) ? bytes.toString() : value;
}

function secretFaults(secrets: Source['secrets']): FieldError[] {
  return secrets.flatMap((secret, index) => {
    const message = webhookSecretFault(secret);
    return message === undefined ? [] : [{ index, field: 'secrets', message }];
  });
}

function timestampFaults(place: string | undefined): FieldError[] {
  if (place === undefined || (place.startsWith('/') && parsePointer(place) !== undefined)) return [];
  return [{ index: null, field: 'timestamp', message: 'takes a JSON pointer such as /timestamp' }];
}
