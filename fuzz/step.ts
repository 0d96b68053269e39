import { brotliCompressSync, constants, deflateSync, gzipSync, zstdCompressSync } from 'node:zlib';
import type { SeededRandom } from '../lab/random.ts';
import { type PublishBody, publishBody } from './events.ts';
import { brokenText, hostileValue } from './json-text.ts';
import type { Operation, Schema } from './operations.ts';
import { SECRET } from './target.ts';
import { escaped, hostileText, plainText } from './values.ts';

/** What is sent on one connection, and what can be said of it beforehand. */
export interface Step {
  readonly index: number;
  readonly bytes: Buffer;
  /** The methods of its requests, in order; null where the bytes were broken, so that nobody knows. */
  readonly methods: readonly string[] | null;
  /** The bytes are whole requests in every reader's eyes, and the last one asks for the end of the connection. */
  readonly isSure: boolean;
  /** The publishes among its requests, each with its place among them. */
  readonly publishes: readonly (PublishBody & { readonly at: number })[];
}

interface Request {
  readonly method: string;
  readonly head: string;
  readonly body: Buffer;
  readonly isSpoilt: boolean;
  readonly publish: PublishBody | null;
}

/** The step of this number. It follows from the seed, the number and the operations alone. */
export function stepOf(
  random: SeededRandom,
  index: number,
  operations: readonly Operation[],
  guarded: boolean,
): Step {
  const count = random.chance(0.15) ? random.whole(2, 6) : 1;
  // Of steps without a key, none is sound where keys are in force.
  const access = guarded ? (random.chance(0.6) ? 'key' : 'none') : 'open';
  const requests = Array.from({ length: count }, (_, i) =>
    requestOf(random, index * 10 + i, operations, i === count - 1, access),
  );
  const bytes = Buffer.concat(requests.flatMap(({ head, body }) => [Buffer.from(head, 'latin1'), body]));
  // Whether an answer has a body hangs on HEAD, which nobody could find again among broken bytes.
  if (random.chance(0.3) && requests.every(({ method }) => method !== 'HEAD')) {
    return { index, bytes: brokenBytes(random, bytes), methods: null, isSure: false, publishes: [] };
  }
  // A length that is not its own makes of what stands behind a request a part of it, or rubbish.
  const firstSpoilt = requests.findIndex(({ isSpoilt }) => isSpoilt);
  const publishes = requests.flatMap(({ publish }, at) => {
    if (publish === null) return [];
    return firstSpoilt >= 0 && firstSpoilt < at ? [{ ...publish, at, valid: null }] : [{ ...publish, at }];
  });
  const isSure = requests.every(({ isSpoilt }) => !isSpoilt);
  return { index, bytes, methods: requests.map(({ method }) => method), isSure, publishes };
}

function requestOf(
  random: SeededRandom,
  number: number,
  operations: readonly Operation[],
  isLast: boolean,
  access: 'open' | 'key' | 'none',
): Request {
  // Half of what comes is for the one place that changes the store.
  const publishing = operations.find(({ path }) => path === '/publish')!;
  const operation = random.chance(0.5) ? publishing : operations[random.whole(0, operations.length - 1)]!;
  const isOdd = random.chance(0.05);
  const method = isOdd ? random.of(ODD_METHODS) : operation.method;
  const parameters = isOdd ? [] : operation.parameters;
  const isPublish = operation === publishing && !isOdd;
  const isStream = operation.path === '/events/stream';
  const target = targetOf(random, operation, isPublish);
  const headers: Headers = [['Host', 'localhost']];
  for (const { name, schema } of parameters.filter((parameter) => parameter.in === 'header')) {
    if (random.chance(0.3)) headers.push([name, headerText(parameterText(random, schema))]);
  }
  // What has no end must not stand before anything else.
  if (isLast || isStream) headers.push(['Connection', 'close']);

  if (access === 'key') headers.push(['Authorization', `Bearer ${SECRET}`]);
  if (access === 'none' && random.chance(0.5)) headers.push(['Authorization', credentials(random)]);

  const isSpoilt = random.chance(0.25);
  if (isSpoilt) headers.push(...oddHeaders(random));
  const publish = isPublish ? publishBody(random, number) : null;
  const text = publish?.text ?? (operation.body === null ? '' : bodyText(random, operation.body));
  if (text === '' && (operation.body === null || isOdd))
    return finished(method, target, headers, '', isSpoilt, null);

  const coding = random.chance(0.2) ? random.of(CODINGS) : null;
  const type = random.chance(0.9) ? 'application/json' : random.of(TYPES);
  headers.push(['Content-Type', type]);
  const isSound =
    access !== 'none' &&
    !isSpoilt &&
    type === 'application/json' &&
    target.isSound &&
    method === operation.method;
  const plain = Buffer.from(text);
  const { packed, isWhole } =
    coding === null ? { packed: plain, isWhole: true } : packedBy(random, coding, plain);
  if (coding !== null) headers.push(['Content-Encoding', coding]);
  const sound = publish === null || (isSound && isWhole) ? publish : { ...publish, valid: null };
  if (random.chance(0.3)) {
    headers.push(['Transfer-Encoding', 'chunked']);
    return finished(method, target, headers, chunked(random, packed), isSpoilt, sound);
  }
  headers.push(['Content-Length', String(packed.length)]);
  return finished(method, target, headers, packed, isSpoilt, sound);
}

type Headers = [name: string, value: string][];

interface Target {
  readonly text: string;
  /** Nothing about the query keeps a valid body from being taken. */
  readonly isSound: boolean;
}

function finished(
  method: string,
  { text }: Target,
  headers: Headers,
  body: Buffer | string,
  isSpoilt: boolean,
  publish: PublishBody | null,
): Request {
  const lines = headers.map(([name, value]) => `${name}: ${value}\r\n`).join('');
  return {
    method,
    head: `${method} ${text} HTTP/1.1\r\n${lines}\r\n`,
    body: Buffer.from(body),
    isSpoilt,
    publish,
  };
}

function targetOf(random: SeededRandom, { path, parameters }: Operation, isPublish: boolean): Target {
  const filled = path.replace(/\{(\w+)\}/g, (_, name: string) => {
    const parameter = parameters.find((one) => one.name === name);
    // A group must be met again now and then.
    if (name === 'name' && random.chance(0.6)) return random.of(['one', 'two', 'three']);
    return escaped(
      random,
      random.chance(0.5) ? plainText(random) : parameterText(random, parameter?.schema ?? {}),
    );
  });
  if (isPublish && random.chance(0.8))
    return { text: random.chance(0.7) ? `${filled}?results=true` : filled, isSound: true };
  const query: string[] = [];
  for (const { name, schema } of parameters.filter((parameter) => parameter.in === 'query')) {
    for (let again = random.chance(0.35) ? 1 : 0; again > 0; again = random.chance(0.05) ? 1 : 0) {
      query.push(`${escaped(random, name)}=${escaped(random, parameterText(random, schema))}`);
    }
  }
  if (random.chance(0.1))
    query.push(`${escaped(random, hostileText(random))}=${escaped(random, hostileText(random))}`);
  if (random.chance(0.05))
    query.push(random.of(['%', 'a=%ff', '&&&', '=', '?', 'a[b]=c', 'a[]=1', '__proto__[x]=1', '#x', 'a;b']));
  const form = random.chance(0.03) ? random.of(ODD_FORMS) : '';
  return { text: form + filled + (query.length > 0 ? `?${query.join('&')}` : ''), isSound: false };
}

function parameterText(random: SeededRandom, schema: Schema): string {
  if (random.chance(0.3)) return hostileText(random);
  if (schema.enum !== undefined) return String(schema.enum[random.whole(0, schema.enum.length - 1)]);
  const type = [schema.type ?? 'string'].flat()[0];
  if (type === 'integer') return String(integerOf(random, schema));
  if (type === 'boolean') return random.of(['true', 'false']);
  return plainText(random);
}

function integerOf(random: SeededRandom, { minimum = 0, maximum = 1000 }: Schema): number {
  // Nobody here waits for an hour.
  const highest = Math.min(maximum, 1000);
  return random.of([minimum, highest, maximum > 100_000 ? 7 : maximum, random.whole(0, 20)]);
}

/** A body that its schema may take, in which something may be wrong. */
function bodyText(random: SeededRandom, schema: Schema): string {
  const text = valueText(random, schema, 'body');
  return random.chance(0.1) ? brokenText(random, text) : text;
}

function valueText(random: SeededRandom, schema: Schema, name: string): string {
  if (random.chance(0.08)) return hostileValue(random);
  // Long waits are left to other tests: they would be most of the time.
  if (name === 'wait_ms') return random.of(['0', '1', '30']);
  const type = [schema.type ?? 'object'].flat();
  switch (type[random.whole(0, type.length - 1)] ?? 'object') {
    case 'integer':
      return String(integerOf(random, schema));
    case 'boolean':
      return 'true';
    case 'array': {
      const items = Array.from({ length: random.whole(1, 3) }, () =>
        valueText(random, schema.items ?? {}, name),
      );
      return `[${items.join()}]`;
    }
    case 'string':
      return JSON.stringify(
        random.chance(0.5)
          ? random.of(['>', '*', 'orders', 'earliest', 'latest', 'a.>'])
          : hostileText(random),
      );
    default: {
      const properties = Object.entries(schema.properties ?? {}).filter(
        ([member]) => (schema.required ?? []).includes(member) || random.chance(0.5),
      );
      return `{${properties.map(([member, one]) => `${JSON.stringify(member)}:${valueText(random, one, member)}`).join()}}`;
    }
  }
}

/** What is no key, or not quite one. */
function credentials(random: SeededRandom): string {
  const almost = random.of([
    SECRET.slice(1),
    `${SECRET}x`,
    SECRET.toUpperCase(),
    `${SECRET.slice(0, -1)}\xf2`,
    '',
  ]);
  const scheme = random.of(['Bearer', 'bearer', 'Basic', 'Digest', '', 'Bearer Bearer']);
  return random.chance(0.3) ? headerText(hostileText(random)) : `${scheme} ${almost}`;
}

/** Headers that may spoil a request, or do nothing. */
function oddHeaders(random: SeededRandom): Headers {
  return Array.from({ length: random.whole(1, 3) }, (): [string, string] => {
    if (random.chance(0.3))
      return [
        random.of(['X-Anything', 'Cookie', 'Origin', 'Referer', 'User-Agent']),
        headerText(hostileText(random)),
      ];
    const [name, values] = random.of(ODD_HEADERS);
    return [
      name,
      random.chance(0.3) ? headerText(hostileText(random)) : values[random.whole(0, values.length - 1)]!,
    ];
  });
}

/** What a header's value may hold at all; what breaks it is left to `brokenBytes`. */
function headerText(text: string): string {
  return Buffer.from(text.replace(/\p{Cc}/gu, ' '))
    .toString('latin1')
    .slice(0, 8000);
}

type OddHeader = readonly [name: string, values: readonly string[]];
const ODD_HEADERS: readonly [OddHeader, ...OddHeader[]] = [
  [
    'Accept',
    [
      '*/*',
      'application/x-ndjson',
      'text/html',
      ';;;',
      'a/b;q=2',
      'a/b;q=0.1,'.repeat(700),
      `${' '.repeat(5000)}x`,
    ],
  ],
  ['Accept-Encoding', ['gzip', 'br;q=1.0, *;q=0', 'identity;q=0']],
  ['Authorization', ['Bearer x', 'Bearer', 'Basic eDp5', `Bearer ${'x'.repeat(5000)}`]],
  [
    'Connection',
    ['close', 'keep-alive', 'upgrade', 'close, keep-alive', 'content-length', 'transfer-encoding'],
  ],
  ['Upgrade', ['websocket', 'h2c', 'TLS/1.0']],
  ['Expect', ['100-continue', '100-Continue, x', 'nothing']],
  ['Range', ['bytes=0-', 'bytes=0-0,1-1', 'bytes=9999999-', 'lines=1-2', `bytes=${'0-1,'.repeat(1000)}0-1`]],
  ['If-None-Match', ['*', '"x"', 'W/"x"']],
  ['If-Match', ['"x"']],
  ['If-Modified-Since', ['Tue, 28 Oct 2025 10:00:00 GMT', 'never']],
  ['If-Unmodified-Since', ['Tue, 28 Oct 1980 10:00:00 GMT']],
  ['X-HTTP-Method-Override', ['DELETE', 'POST']],
  ['X-Forwarded-For', ['127.0.0.1', '::1']],
  ['Forwarded', ['for=127.0.0.1;host=evil']],
  ['Host', ['evil.example', '']],
  ['Content-Encoding', ['gzip', 'identity', 'gzip, gzip', 'x', '']],
  [
    'Content-Type',
    ['application/json', 'text/plain', `application/json;${' '.repeat(5000)}`, `${'a'.repeat(5000)}/json`],
  ],
  ['TE', ['trailers']],
  ['Trailer', ['Content-Length']],
  ['Last-Event-ID', ['0', '-1', '1e3']],
  ['Content-Length', ['0', '1', '-1', '99999999999999999999', '0x10', '1, 1']],
  ['Transfer-Encoding', ['chunked', 'gzip, chunked', 'identity', 'xchunked', ' chunked']],
];

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
const ODD_FORMS = [
  'http://localhost',
  'https://evil.example:1',
  '//',
  '/.',
  '/..',
  '/%2e%2e',
  '\\',
  'x',
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
const CODINGS = ['gzip', 'x-gzip', 'BR', 'br', 'zstd', 'deflate', 'identity', 'gzip, br'] as const;

/** Packed as it says, or not quite. */
function packedBy(
  random: SeededRandom,
  coding: (typeof CODINGS)[number],
  plain: Buffer,
): { packed: Buffer; isWhole: boolean } {
  const packed = packers[coding](plain);
  const isTaken = coding !== 'deflate' && coding !== 'gzip, br';
  switch (random.whole(0, 5)) {
    case 0:
      return { packed: packed.subarray(0, random.whole(0, packed.length)), isWhole: false };
    case 1:
      return {
        packed: Buffer.concat([packed, Buffer.from(random.of([' ', '\0', '}', 'x'.repeat(20_000)]))]),
        isWhole: false,
      };
    case 2: {
      const bomb = Buffer.alloc(random.of([1, 15, 16, 17, 40] as const) * 1024 * 1024, ' ');
      return random.chance(0.05)
        ? { packed: packers[coding](bomb), isWhole: false }
        : { packed, isWhole: isTaken };
    }
    default:
      return { packed, isWhole: isTaken };
  }
}

const brotli = (plain: Buffer): Buffer =>
  brotliCompressSync(plain, { params: { [constants.BROTLI_PARAM_QUALITY]: 1 } });
const packers: Readonly<Record<(typeof CODINGS)[number], (plain: Buffer) => Buffer>> = {
  gzip: (plain) => gzipSync(plain),
  'x-gzip': (plain) => gzipSync(plain),
  br: brotli,
  BR: brotli,
  zstd: (plain) => zstdCompressSync(plain),
  deflate: (plain) => deflateSync(plain),
  identity: (plain) => plain,
  'gzip, br': (plain) => brotli(gzipSync(plain)),
};

function chunked(random: SeededRandom, body: Buffer): Buffer {
  const pieces: Buffer[] = [];
  for (let at = 0; at < body.length;) {
    const size = random.of([1, 7, 100, 5000, 65_536] as const);
    const piece = body.subarray(at, at + Math.max(size, Math.ceil(body.length / 50)));
    const extension = random.chance(0.05) ? ';a=b' : '';
    pieces.push(Buffer.from(`${piece.length.toString(16)}${extension}\r\n`), piece, Buffer.from('\r\n'));
    at += piece.length;
  }
  pieces.push(Buffer.from(random.chance(0.05) ? '0\r\nX-Trailer: y\r\n\r\n' : '0\r\n\r\n'));
  return Buffer.concat(pieces);
}

/** The bytes of requests, changed without regard to what they mean. */
function brokenBytes(random: SeededRandom, whole: Buffer): Buffer {
  let bytes = whole;
  for (let changes = random.whole(1, 3); changes > 0; changes--) {
    // The head is short and decides most.
    const headEnd = Math.max(1, bytes.indexOf('\r\n\r\n') + 4);
    const at = random.whole(0, random.chance(0.7) ? headEnd : bytes.length);
    const length = random.of([1, 1, 2, 10, 100] as const);
    const [before, after] = [bytes.subarray(0, at), bytes.subarray(at)];
    switch (random.whole(0, 6)) {
      case 0:
        bytes = before;
        break;
      case 1:
        bytes = Buffer.concat([before, after.subarray(length)]);
        break;
      case 2:
        bytes = Buffer.concat([before, after.subarray(0, length), after]);
        break;
      case 3:
        bytes = Buffer.concat([before, Buffer.from(random.of(INSERTS), 'latin1'), after]);
        break;
      case 4:
        bytes = Buffer.concat([before, Buffer.from([random.whole(0, 255)]), after.subarray(1)]);
        break;
      case 5: {
        // One header line more, or one of those that are there again.
        const line = bytes.indexOf('\r\n') + 2;
        const [name, values] = random.of(ODD_HEADERS);
        const more = Buffer.from(`${name}: ${values[random.whole(0, values.length - 1)]}\r\n`, 'latin1');
        bytes = Buffer.concat([bytes.subarray(0, line), more, bytes.subarray(line)]);
        break;
      }
      default:
        bytes = Buffer.from(
          bytes.toString('latin1').replaceAll('\r\n', random.of(['\n', '\r', '\r\n\r\n', '\r\n '])),
          'latin1',
        );
    }
  }
  return bytes;
}

const INSERTS = [
  '\0',
  '\r\n',
  '\n',
  '\r',
  '\r\n\r\n',
  ' ',
  '\t',
  ':',
  '\x7f',
  '\xff\xfe',
  'x'.repeat(17_000),
  'Content-Length: 5\r\n',
  'Transfer-Encoding: chunked\r\n',
  'HTTP/1.0\r\n',
  'HTTP/2.0\r\n',
  'GET /health HTTP/1.1\r\nHost: a\r\n\r\n',
  '0\r\n\r\n',
  'ffffffffffffffff\r\n',
  'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
  '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03',
] as const;
