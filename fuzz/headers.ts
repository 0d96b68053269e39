import type { SeededRandom } from '../lab/random.ts';
import { SECRET } from './target.ts';
import { hostileText } from './values.ts';

export type Headers = [name: string, value: string][];

/** Something that is not a key, or not quite one. */
export function credentials(random: SeededRandom): string {
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

/** Headers that may or may not spoil a request. */
export function oddHeaders(random: SeededRandom): Headers {
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

/** Keeps only what a header value can hold; breaking headers is left to `brokenBytes`. */
export function headerText(text: string): string {
  return Buffer.from(text.replace(/\p{Cc}/gu, ' '))
    .toString('latin1')
    .slice(0, 8000);
}

type OddHeader = readonly [name: string, values: readonly string[]];
export const ODD_HEADERS: readonly [OddHeader, ...OddHeader[]] = [
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
