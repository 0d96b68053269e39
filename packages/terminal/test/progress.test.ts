import assert from 'node:assert/strict';
import { Writable } from 'node:stream';
import { test } from 'node:test';
import { createProgress } from '../src/progress.ts';

class Collector extends Writable {
  text = '';

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.text += chunk.toString();
    done();
  }
}

const WORK = { what: 'publishing', total: 1000, unit: 'events' };

test('off a terminal there is a line every five seconds at most, for another percent, and none at the end', (t) => {
  let nowMs = 0;
  t.mock.method(performance, 'now', () => nowMs);
  const stream = new Collector();
  const progress = createProgress(WORK, stream);
  for (let done = 100; done <= 1000; done += 100) {
    nowMs += 2000;
    progress.advance(done, `${done / 100} steps`);
  }
  for (let again = 0; again < 5; again++) {
    nowMs += 5000;
    progress.advance(901);
  }
  progress.stop();
  assert.equal(
    stream.text,
    'publishing: 300 of 1000 events (30 %), 3 steps\n' +
      'publishing: 600 of 1000 events (60 %), 6 steps\n' +
      'publishing: 900 of 1000 events (90 %), 9 steps\n',
  );
});

test('notes are shown at once, and then every five seconds at most', (t) => {
  let nowMs = 0;
  t.mock.method(performance, 'now', () => nowMs);
  const stream = new Collector();
  const progress = createProgress(WORK, stream);
  for (let retry = 1; retry <= 7; retry++) {
    nowMs += 2500;
    progress.note(`retry ${retry}: connection refused`);
  }
  assert.equal(
    stream.text,
    [1, 3, 5, 7].map((retry) => `publishing: retry ${retry}: connection refused\n`).join(''),
  );
});

test('on a terminal there is a bar with the last note', () => {
  const stream = Object.assign(new Collector(), { isTTY: true, columns: 200 });
  const progress = createProgress(WORK, stream);
  progress.note('retry 2: connection refused');
  progress.advance(500);
  progress.stop();
  assert.match(
    stream.text,
    /publishing █+░+ 50% \| 500\/1000 events \| \d+ events\/s \| retry 2: connection refused/,
  );
});

test('a bar has no rate if none is meaningful', () => {
  const stream = Object.assign(new Collector(), { isTTY: true, columns: 200 });
  const progress = createProgress({ what: 'torture', total: 5, unit: 'kills', hasRate: false }, stream);
  progress.advance(1, 'round 1');
  progress.stop();
  assert.match(stream.text, /20% \| 1\/5 kills \| round 1/);
});
