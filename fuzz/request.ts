import type { SeededRandom } from '../lab/random.ts';
import { type Address, addressOf } from './address.ts';
import { cloudEventsBody } from './cloud-events.ts';
import { deliveryBody } from './deliveries.ts';
import { type PublishBody, publishBody } from './events.ts';
import { type Headers, credentials, headerText, oddHeaders } from './headers.ts';
import { logsBody } from './logs.ts';
import type { Operation } from './operations.ts';
import { CODINGS, chunked, packedBy } from './packing.ts';
import { bodyText, parameterText } from './schema-values.ts';
import { SECRET } from './target.ts';

/** A request in bytes, and what we know of it before it is sent. */
export interface Request {
  readonly method: string;
  readonly head: string;
  readonly body: Buffer;
  /** It has headers that may change its meaning. */
  readonly isSpoilt: boolean;
  readonly publish: PublishBody | null;
  /** It carries CloudEvents, or is a delivery: what is stored of them is not compared. */
  readonly makesEvents: boolean;
  /** The most log records and deliveries that can be read from it. */
  readonly recordsMax: number;
}

/** How a request identifies itself: not at all, if no keys are needed; with the key; or with something else. */
export type Access = 'open' | 'key' | 'none';

/** A request for one of the operations. */
export function requestOf(
  random: SeededRandom,
  number: number,
  operations: readonly Operation[],
  isLast: boolean,
  access: Access,
): Request {
  // Half of all requests go to the one address that changes the store most, and many to its neighbours.
  const [publishing, logs, cloudEvents, deliveries] = ['/publish', '/v1/logs', CLOUDEVENTS, DELIVERIES].map(
    (at) => operations.find(({ path }) => path === at)!,
  );
  const others = [logs!, cloudEvents!, deliveries!, ...operations] as const;
  const operation = random.chance(0.5)
    ? publishing!
    : others[random.chance(0.5) ? random.whole(0, 2) : random.whole(3, operations.length + 2)]!;
  const isOdd = random.chance(0.05);
  const method = isOdd ? random.of(ODD_METHODS) : operation.method;
  const isPublish = operation === publishing && !isOdd;
  const address = addressOf(random, operation, isPublish);
  const headers = usualHeaders(random, isOdd ? { ...operation, parameters: [] } : operation, isLast, access);
  const isSpoilt = random.chance(0.25);
  if (isSpoilt) headers.push(...oddHeaders(random));

  const publish = isPublish ? publishBody(random, number) : null;
  const text = publish?.text ?? (operation.body === null ? '' : bodyText(random, operation.body));
  const bodiless = { method, address, headers, isSpoilt };
  if (operation.path === '/v1/logs') {
    const { bytes, type, recordsMax } = logsBody(random);
    const { body } = addBody(random, headers, bytes, type);
    return finished({ ...bodiless, body, publish: null, makesEvents: false, recordsMax });
  }
  if (operation.path === CLOUDEVENTS && !isOdd) {
    const { bytes, type, headers: attributes } = cloudEventsBody(random);
    headers.push(...attributes);
    const { body } = addBody(random, headers, bytes, type);
    return finished({ ...bodiless, body, publish: null, makesEvents: true, recordsMax: 0 });
  }
  if (operation.path === DELIVERIES) {
    // Where keys are in force, nobody is let in without one, not even if a change loses it.
    const delivery = deliveryBody(random, access === 'open');
    headers.push(...delivery.headers);
    const { body } = addBody(random, headers, delivery.bytes, delivery.type);
    const text = random.chance(0.9) ? delivery.address : address.text;
    return finished({
      ...bodiless,
      address: { text, isSound: false },
      body,
      publish: null,
      makesEvents: true,
      recordsMax: 1,
    });
  }
  if (text === '' && (operation.body === null || isOdd))
    return finished({
      ...bodiless,
      body: Buffer.alloc(0),
      publish: null,
      makesEvents: false,
      recordsMax: 0,
    });
  const { body, isWhole } = addBody(random, headers, Buffer.from(text));
  const isSound = isWhole && access !== 'none' && !isSpoilt && address.isSound && method === operation.method;
  return finished({
    ...bodiless,
    body,
    publish: publish === null || isSound ? publish : { ...publish, valid: null },
    makesEvents: false,
    recordsMax: 0,
  });
}

const CLOUDEVENTS = '/topics/{topic}/cloudevents';
const DELIVERIES = '/in/{name}';

function usualHeaders(
  random: SeededRandom,
  { path, parameters }: Operation,
  isLast: boolean,
  access: Access,
): Headers {
  const headers: Headers = [['Host', 'localhost']];
  for (const { name, schema } of parameters.filter((parameter) => parameter.in === 'header')) {
    if (random.chance(0.3)) headers.push([name, headerText(parameterText(random, schema))]);
  }
  // A stream has no end, so nothing can come after it on its connection.
  if (isLast || path === '/events/stream') headers.push(['Connection', 'close']);
  if (access === 'key') headers.push(['Authorization', `Bearer ${SECRET}`]);
  if (access === 'none' && random.chance(0.5)) headers.push(['Authorization', credentials(random)]);
  return headers;
}

/** Packs the body and adds the headers that tell how; says whether every reader can read it as JSON. */
function addBody(
  random: SeededRandom,
  headers: Headers,
  plain: Buffer,
  usualType = 'application/json',
): { readonly body: Buffer; readonly isWhole: boolean } {
  const coding = random.chance(0.2) ? random.of(CODINGS) : null;
  const type = random.chance(0.9) ? usualType : random.of(TYPES);
  headers.push(['Content-Type', type]);
  const { packed, isWhole } =
    coding === null ? { packed: plain, isWhole: true } : packedBy(random, coding, plain);
  if (coding !== null) headers.push(['Content-Encoding', coding]);
  const isChunked = random.chance(0.3);
  headers.push(isChunked ? ['Transfer-Encoding', 'chunked'] : ['Content-Length', String(packed.length)]);
  const body = isChunked ? chunked(random, packed) : packed;
  return { body, isWhole: isWhole && type === 'application/json' };
}

function finished({
  address,
  headers,
  ...request
}: Omit<Request, 'head'> & { readonly address: Address; readonly headers: Headers }): Request {
  const lines = headers.map(([name, value]) => `${name}: ${value}\r\n`).join('');
  return { ...request, head: `${request.method} ${address.text} HTTP/1.1\r\n${lines}\r\n` };
}

const ODD_METHODS = [
  'HEAD',
  'OPTIONS',
  'PUT',
  'DELETE',
  'PATCH',
  'TRACE',
  'CONNECT',
  'PROPFIND',
  'PURGE',
  'QUERY',
  'GET',
  'POST',
] as const;

const TYPES = [
  'application/json; charset=utf-8',
  'application/json;charset="UTF-8"',
  'application/json; charset=latin1',
  'application/cloudevents-batch+json',
  'text/plain',
  'multipart/form-data; boundary=x',
  'application/json; charset=utf-8; charset=utf-16',
  `application/json; ${'a=b;'.repeat(1000)}`,
  '',
] as const;
