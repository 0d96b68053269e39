import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EventWindow, summaryOf } from '../src/live/event-window.ts';
import { SseLines } from '../src/service/sse-lines.ts';

const item = (offset: number, topic = 'orders') => ({
  offset: String(offset),
  text: `{"event_id":"e-${offset}","topic":"${topic}","source":"s","payload":{"n":12345678901234567890},"offset":${offset}}`,
  expired: undefined,
});

const offsets = (window: EventWindow): (string | undefined)[] =>
  Array.from({ length: window.count }, (_, place) => window.row(place)?.offset);

test('the newest rows are kept, newest first, and all that came are counted', () => {
  const window = new EventWindow({ eventsMax: 10, charsMax: 1e6 });
  for (let offset = 1; offset <= 100; offset++) window.add([item(offset)]);
  assert.equal(window.came, 100);
  assert.ok(window.held >= 10 && window.held <= 11, `${window.held}`);
  assert.deepEqual(offsets(window).slice(0, 10), [
    '100',
    '99',
    '98',
    '97',
    '96',
    '95',
    '94',
    '93',
    '92',
    '91',
  ]);
  window.clear();
  assert.deepEqual([window.held, window.count, window.came], [0, 0, 100]);
});

test('large events are bounded in memory, too, but the newest one is always there', () => {
  const window = new EventWindow({ eventsMax: 1000, charsMax: 500 });
  for (let offset = 1; offset <= 50; offset++) window.add([item(offset)]);
  assert.ok(window.held < 7, `${window.held}`);
  window.add([{ ...item(51), text: 'x'.repeat(10_000) }]);
  assert.equal(window.row(0)?.offset, '51');
  assert.equal(window.held, 1);
});

test('a filter finds whatever the case, also in what came before, and shows gaps always', () => {
  const window = new EventWindow({ eventsMax: 4, charsMax: 1e6 });
  window.add([item(1), item(2, 'Payments'), { offset: '3', text: '{"expired":5}', expired: '5' }]);
  window.filter('payMENTS');
  assert.deepEqual(offsets(window), ['3', '2']);
  window.add([item(4), item(5, 'payments')]);
  assert.deepEqual(offsets(window), ['5', '3', '2']);
  assert.equal(window.matched, 4, 'before the filter three rows were added in front');
  window.add([item(6), item(7), item(8, 'payments')]);
  assert.deepEqual(offsets(window), ['8', '5'], 'what has fallen out matches no more');
  window.filter('');
  assert.deepEqual(offsets(window), ['8', '7', '6', '5']);
});

test('a row shows the payload with its digits', () => {
  const window = new EventWindow({ eventsMax: 4, charsMax: 1e6 });
  window.add([item(1)]);
  assert.equal(summaryOf(window.row(0)!).payload, '{"n":12345678901234567890}');
});

test('a stream is read the same, however it is cut into pieces', () => {
  const stream =
    'retry: 1500\nid: 0\n\n: still here\nid: 7\n\nid: 8\ndata: {"a":"b: c"}\n\nid: 9\r\nevent: gap\r\ndata: {}\r\n\r\n';
  const whole = new SseLines().take(stream);
  assert.deepEqual(whole, [
    { retry: '1500', id: '0' },
    { id: '7' },
    { id: '8', data: '{"a":"b: c"}' },
    { id: '9', event: 'gap', data: '{}' },
  ]);
  for (const size of [1, 2, 3, 7]) {
    const lines = new SseLines();
    const pieces = stream.match(new RegExp(`[^]{1,${size}}`, 'g')) ?? [];
    assert.deepEqual(
      pieces.flatMap((piece) => lines.take(piece)),
      whole,
    );
  }
});
