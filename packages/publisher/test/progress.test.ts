import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createProgress } from '../src/progress.ts';
import { Collector } from './collector.ts';

test('off a terminal there is at most a line a second, for a tenth of the way or more', (t) => {
  let nowMs = 0;
  t.mock.method(performance, 'now', () => nowMs);
  const stream = new Collector();
  const progress = createProgress(1000, stream);
  for (let answered = 10; answered <= 1000; answered += 10) {
    nowMs += 80;
    progress.advance(answered);
  }
  progress.stop();
  const lines = stream.text.trim().split('\n');
  assert.deepEqual(
    lines.map((line) => /published (\d+) of 1000 events/.exec(line)?.[1]),
    ['100', '230', '360', '490', '620', '750', '880', '1000'],
  );
});

test('retries are shown at most once a second', (t) => {
  let nowMs = 0;
  t.mock.method(performance, 'now', () => nowMs);
  const stream = new Collector();
  const progress = createProgress(1000, stream);
  for (let retry = 1; retry <= 5; retry++) {
    progress.retrying('connection refused', retry);
    nowMs += 400;
  }
  assert.equal(stream.text, 'retry 1: connection refused\nretry 4: connection refused\n');
});

test('on a terminal there is a bar, and the cursor comes back when it stops', () => {
  const stream = Object.assign(new Collector(), { isTTY: true, columns: 200 });
  const progress = createProgress(1000, stream);
  progress.advance(500);
  progress.retrying('connection refused', 2);
  progress.stop();
  const shown = stream.text;
  assert.match(shown, /█+░+ 50% \| 500\/1000 events \| \d+ events\/s \| retries: 2, connection refused/);
  assert.ok(shown.lastIndexOf('\u001B[?25h') > shown.lastIndexOf('\u001B[?25l'));
});
