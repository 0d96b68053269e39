import assert from 'node:assert/strict';
import { test } from 'node:test';
import { logText } from '../src/log-text.ts';

const line = (entry: object): string =>
  `${JSON.stringify({ level: 30, time: 0, pid: 1, hostname: 'h', ...entry })}\n`;
/** Without the colours that a terminal gets. */
const plain = (text: string): string =>
  text.replaceAll(new RegExp(String.raw`${String.fromCharCode(27)}\[\d+m`, 'g'), '');

test('a person reads when and what, then the fields', () => {
  const text = plain(logText(line({ msg: 'stopped', keys: 2, store: 'sqlite' })));
  assert.match(text, /^\d\d:\d\d:00 stopped keys=2 store=sqlite\n$/);
  assert.match(plain(logText(line({ level: 40, msg: 'beware' }))), /^\S+ warn beware\n$/);
});

test('the start shows the pid to send signals to, and is followed by the addresses to open', () => {
  const text = plain(
    logText(line({ msg: 'ChronicleWeaver takes events at http://0.0.0.0:8000', port: 8000 })),
  );
  assert.match(text, /^\S+ ChronicleWeaver takes events at \S+ pid=1 port=8000\n/);
  assert.match(
    text,
    /\n {2}dashboard +http:\/\/localhost:8000\/dashboard\n {2}documentation +http:\/\/localhost:8000\/docs\n/,
  );
  assert.doesNotMatch(plain(logText(line({ msg: 'see http://localhost:1' }))), /dashboard/);
});

test('an error comes with its stack, and nothing in a line moves the cursor', () => {
  const err = { type: 'Error', message: 'no', stack: 'Error: no\n    at here' };
  assert.match(
    plain(logText(line({ level: 50, msg: 'failed', err }))),
    /error failed\n {2}Error: no\n {6}at here\n$/,
  );
  const text = logText(line({ msg: 'topic', topic: 'a\u001b[2J\r\n\u202eb' }));
  assert.ok(plain(text).includes(String.raw`topic=a\u001b[2J\u000d\u000a\u202eb`), text);
  assert.doesNotMatch(text.slice(0, -1), /\n|\u202e/);
  assert.equal(logText('not JSON\n'), 'not JSON\n');
});
