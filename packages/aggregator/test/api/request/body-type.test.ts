import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Event } from '@chronicleweaver/protocol';
import { booksOf } from '../../support/books.ts';
import { eventWith } from '../../support/events.ts';
import { exchange, requestText } from '../../support/raw-http.ts';
import { problemIn, sharedServer } from '../../support/server.ts';
import { answerIn } from '../../support/publishing.ts';

const service = sharedServer();

test('the type of the body must be JSON in UTF-8 [PUB-7]', async () => {
  const server = service();
  const rows: [type: string | null, taken: boolean][] = [
    ['application/json', true],
    ['application/json; charset=utf-8', true],
    ['application/json;charset=UTF-8', true],
    ['application/json; charset="utf-8"', true],
    ['APPLICATION/JSON; Charset=utf-8', true],
    ['application/json; version=1', true],
    ['application/vnd.log.v1+json', true],
    ['application/cloudevents.v2+json', true],
    ['application/cloudevents+xml', false],
    [null, false],
    ['text/plain', false],
    ['text/json', false],
    ['application/x-www-form-urlencoded', false],
    ['application/jsonp', false],
    ['application/x-json', false],
    ['application/xml', false],
    ['json', false],
    ['multipart/form-data; boundary=x', false],
    ['application/json; charset=latin1', false],
    ['application/json; charset=iso-8859-1', false],
    ['application/json; charset=utf-16', false],
    ['application/json; version=1; charset=us-ascii', false],
    ['application/cloudevents+json; charset=utf-16', false],
    ['application/json; charset=utf-8; charset=latin1', false],
    ['application/json; charset=latin1; charset=utf-8', false],
    ['application/json; charset=utf-8; charset="utf-8"', true],
    ['application/json; charset=', false],
    ['application/json; charset="utf-8', false],
    ['application/json; charset=utf-8x', false],
    ['application/json; charset=utf-8 ; version=1', true],
  ];
  let expected = 0;
  for (const [i, [type, taken]] of rows.entries()) {
    const body = JSON.stringify(eventWith({ event_id: `row-${i}` }));
    const headers = { ...(type !== null && { 'content-type': type }), connection: 'close' };
    const [response] = await exchange(server.url, requestText('POST /publish', headers, body));
    if (taken) {
      assert.equal((await answerIn(response!)).accepted, 1, type ?? 'none');
      expected += 1;
    } else {
      await problemIn(response!, 415, 'unsupported_media_type').catch((cause: unknown) => {
        throw new Error(`content-type: ${type}`, { cause });
      });
    }
  }
  assert.equal((await server.events()).count, expected);
});

test('bytes that are not UTF-8 are refused everywhere [PUB-7, P-6]', async () => {
  const server = service();
  const before = await booksOf(server);
  const BYTES = {
    'a byte that begins no character': [0xff],
    'latin1 é': [0xe9],
    'a lone continuation byte': [0x80],
    'an overlong /': [0xc0, 0xaf],
    'a surrogate half': [0xed, 0xa0, 0x80],
    'a surrogate pair, each half by itself': [0xed, 0xa0, 0xbd, 0xed, 0xb8, 0x80],
    'beyond U+10FFFF': [0xf4, 0x90, 0x80, 0x80],
    'a character cut short': [0xf0, 0x9f, 0x98],
  };
  for (const [what, bytes] of Object.entries(BYTES)) {
    for (const place of ['e-1', 'orders', 'web', 'order placed', '2025', '"message', '{']) {
      const text = JSON.stringify({ events: [eventWith({ event_id: 'valid' }), eventWith()] });
      const at = text.lastIndexOf(place) + place.length;
      const body = Buffer.concat([
        Buffer.from(text.slice(0, at)),
        Buffer.from(bytes),
        Buffer.from(text.slice(at)),
      ]);
      await problemIn(await server.post(body), 400, 'invalid_encoding').catch((cause: unknown) => {
        throw new Error(`${what} behind ${place}`, { cause });
      });
    }
  }
  assert.deepEqual(await booksOf(server), before);
});

test('text of every width is returned as it was sent [PUB-7, EVT-6]', async () => {
  const server = service();
  const text = 'aé漢😀\u{10ffff}\u2028\ufeff\u0085\u007f';
  const event: Event = eventWith({ event_id: text, topic: text, source: text, payload: { [text]: text } });
  await server.publish(event);
  const { events } = await server.events();
  const { offset: _offset, received_at: _at, ...stored } = events.at(-1)!;
  assert.deepEqual(stored, event);
});
