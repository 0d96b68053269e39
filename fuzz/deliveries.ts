import { createHmac } from 'node:crypto';
import type { SeededRandom } from '../lab/random.ts';
import { type Headers, headerText } from './headers.ts';
import { brokenText, hostileValue, validObject } from './json-text.ts';
import { SECRET, SOURCES, TIME } from './sources.ts';
import { hostileText, plainText } from './values.ts';

/** A delivery to one of the sources, often with something wrong in it. */
export interface DeliveryBody {
  readonly address: string;
  readonly bytes: Buffer;
  readonly type: string;
  readonly headers: Headers;
}

const NAMES = Object.keys(SOURCES) as [string, ...string[]];

/**
 * Signed as the source expects it, or nearly so.
 *
 * @param mayBeSigned whether any delivery may be taken; if not, its signature is wrong in any case
 */
export function deliveryBody(random: SeededRandom, mayBeSigned: boolean): DeliveryBody {
  const name = random.of(NAMES);
  const bytes = Buffer.from(bodyOf(random));
  const isRight = mayBeSigned && random.chance(0.7);
  const secret = isRight ? SECRET : random.of(['x', '', `x${SECRET}`]);
  const id = random.chance(0.8) ? `d-${random.whole(0, 50)}` : headerText(hostileText(random));
  const headers: Headers = signatureHeaders(name, secret, id, bytes)
    .filter(() => random.chance(0.97))
    .map(([header, value]) => [header, random.chance(0.9) ? value : spoilt(random, value)]);
  const [first] = headers;
  if (first !== undefined && random.chance(0.1)) headers.push(first);
  return { address: `/in/${name}`, bytes, type: random.of(TYPES), headers };
}

function bodyOf(random: SeededRandom): string {
  if (random.chance(0.1)) return hostileText(random);
  if (random.chance(0.1)) return `payload=${encodeURIComponent(validObject(random, 4))}&token=x&%=&%ff=1`;
  const members = [
    `"id":${random.chance(0.8) ? `"e-${random.whole(0, 50)}"` : hostileValue(random)}`,
    `"type":${random.chance(0.7) ? JSON.stringify(plainText(random)) : hostileValue(random)}`,
    `"created":${random.of(['1767322800', '"2026-01-02"', '1e400', '99999999999999999999', '-1', 'null'])}`,
    `"event":${hostileValue(random)}`,
    `"pending_webhooks":${hostileValue(random)}`,
    `"token":"x"`,
    `"challenge":${hostileValue(random)}`,
    `"data":${validObject(random, 4)}`,
  ].filter(() => random.chance(0.7));
  if (random.chance(0.1)) members.push('"type":"url_verification"');
  const text = `{${members.join(random.of([',', ' , ']))}}`;
  return random.chance(0.15) ? brokenText(random, text) : text;
}

function signatureHeaders(name: string, secret: string, id: string, body: Buffer): Headers {
  const mac = (encoding: 'hex' | 'base64', before = '', key: string | Buffer = secret): string =>
    createHmac('sha256', key).update(before).update(body).digest(encoding);
  switch (name) {
    case 'github':
      return [
        ['X-Hub-Signature-256', `sha256=${mac('hex')}`],
        ['X-GitHub-Delivery', id],
        ['X-GitHub-Event', 'push'],
      ];
    case 'stripe':
      return [['Stripe-Signature', `t=${TIME},v1=${mac('hex', `${TIME}.`)},v0=00`]];
    case 'shopify':
      return [
        ['X-Shopify-Hmac-Sha256', mac('base64')],
        ['X-Shopify-Webhook-Id', id],
        ['X-Shopify-Topic', 'orders/create'],
        ['X-Shopify-Triggered-At', '2026-01-02T03:00:00.123456789Z'],
      ];
    case 'slack':
      return [
        ['X-Slack-Request-Timestamp', TIME],
        ['X-Slack-Signature', `v0=${mac('hex', `v0:${TIME}:`)}`],
      ];
    case 'standard': {
      const key = Buffer.from(secret.replace('whsec_', ''), 'base64');
      const signature = mac('base64', `${id}.${TIME}.`, key);
      return [
        ['webhook-id', id],
        ['webhook-timestamp', TIME],
        ['webhook-signature', `v1,AAAA v1,${signature} v1a,x`],
      ];
    }
    case 'signed':
      return [['X-Signature-256', `sha256=${mac('hex')}`]];
    default:
      return [
        ['X-Id', id],
        ['X-Type', 'a *>b'],
        ['X-Time', TIME],
      ];
  }
}

function spoilt(random: SeededRandom, value: string): string {
  return random.of([
    '',
    value.slice(1),
    value.slice(0, -1),
    `${value}${value}`,
    `${value},`.repeat(200),
    `${value} `.repeat(200),
    value.replaceAll(/[\da-f]/g, '0'),
    value.toUpperCase(),
    't=,v1=',
    't=1e9,v1=00',
    `t=${'9'.repeat(400)},v1=00`,
    'sha256=',
    'v1,',
    '='.repeat(5000),
    headerText(hostileText(random)),
  ]);
}

const TYPES = [
  'application/json',
  'application/json; charset=utf-8',
  'application/x-www-form-urlencoded',
  'text/plain',
  'application/octet-stream',
  'x',
] as const;
