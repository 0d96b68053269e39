import assert from 'node:assert/strict';
import { test } from 'node:test';
import { memberText } from '../src/json/exact-json.ts';
import { matcherOf, offsetIn } from '../src/search/payload-match.ts';

const line = (payload: string, topic = 'orders.eu'): string =>
  `{"event_id":"a","topic":"${topic}","source":"shop","payload":${payload},"timestamp":"2025-10-28","offset":7,"received_at":"2025-10-28T10:00:00.000Z"}`;

const find = (text: string, payload: string, more: { isCaseMeant?: boolean; topics?: string[] } = {}) =>
  matcherOf({ text, isCaseMeant: false, topics: [], ...more })(line(payload));

test('a text is found in the payload as it was sent, digit by digit', () => {
  const payload = '{"amount":12345678901234567890.10,"e":1E+2,"list":[1,2]}';
  for (const text of ['12345678901234567890.10', '1e+2', '"amount":1', '[1,2]']) {
    assert.deepEqual(find(text, payload)?.offset, '7', text);
  }
  for (const text of ['12345678901234567000', '100', '12345678901234567890.1,', 'shop', 'event_id', '2025'])
    assert.equal(find(text, payload), undefined, text);
});

test('a text is found however its string is escaped, and as it was escaped', () => {
  const payload = String.raw`{"name":"Ren\u00e9 \"R\" \ud83d\ude00"}`;
  for (const text of ['René', String.raw`ren\u00e9`, '😀', String.raw`\"R\"`])
    assert.ok(find(text, payload), text);
  assert.equal(find('Rene', payload), undefined);
});

test('case and topics count if they are asked for', () => {
  assert.ok(find('HELLO', '{"m":"Hello"}'));
  assert.equal(find('HELLO', '{"m":"Hello"}', { isCaseMeant: true }), undefined);
  assert.ok(find('Hello', '{"m":"Hello"}', { isCaseMeant: true, topics: ['x', 'orders.*'] }));
  assert.equal(find('Hello', '{"m":"Hello"}', { topics: ['orders.*.*', 'orders'] }), undefined);
});

test('what was found is shown with what is around it, however long the payload is', () => {
  const long = 'x'.repeat(1_000_000);
  const excerpt = find('needle', `{"a":"${long}","b":"Needle","c":"${long}"}`)!.excerpt;
  assert.equal(excerpt.text, 'Needle');
  assert.match(excerpt.before, /^…x+","b":"$/);
  assert.match(excerpt.after, /^","c":"x+…$/);
  assert.ok(excerpt.before.length + excerpt.after.length < 200);
  // This letter is longer in lower case.
  assert.deepEqual(find('needle', '{"a":"İ needle"}')!.excerpt, {
    before: '{"a":"İ needle"}',
    text: '',
    after: '',
  });
});

test('the offset is that of the service, whatever the payload has', () => {
  assert.equal(offsetIn(line('{"offset":1,"received_at":"x"}')), 7);
  assert.equal(offsetIn('{"offset":9,"received_at":"2025","more":1}'), 9);
});

test('the text of a member is the one that was sent', () => {
  assert.equal(memberText(String.raw`{"a":{"b":"\u0061"} , "p\u0061y":[ 1.0 ]}`, 'pay'), '[ 1.0 ]');
  for (const text of ['{}', '[1]', '{"b":1}', '"a"']) assert.equal(memberText(text, 'a'), undefined);
});
