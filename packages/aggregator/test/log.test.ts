import assert from 'node:assert/strict';
import { test } from 'node:test';
import { pino } from 'pino';
import { LogLines, errorFields } from '../src/log.ts';

/** A log whose disk has this much room, and the text on that disk. */
function logOn(disk: { room: number; text: string }) {
  const lines = new LogLines((_fd, bytes) => {
    const written = Math.min(bytes.length, disk.room);
    if (written === 0) throw Object.assign(new Error('no space'), { code: 'ENOSPC' });
    disk.room -= written;
    disk.text += Buffer.from(bytes.subarray(0, written)).toString();
    return written;
  });
  const log = pino({ base: null, timestamp: false }, { write: (line) => lines.write(line) });
  lines.onRecovery((dropped) => log.warn({ dropped }, 'dropped'));
  return log;
}

test('a log whose disk is full drops whole lines and says how many', () => {
  const disk = { room: 1000, text: '' };
  const log = logOn(disk);
  log.info('one');
  // Full in the middle of the next line.
  disk.room = 10;
  for (let i = 0; i < 5; i++) log.info(`lost ${i}`);
  disk.room = 1000;
  log.info('two');
  log.info('three');
  const lines = disk.text.trimEnd().split('\n').map((line) => JSON.parse(line) as { msg: string; dropped?: number }); // prettier-ignore
  assert.deepEqual(
    lines.map(({ msg, dropped }) => (dropped === undefined ? msg : `${dropped} ${msg}`)),
    ['one', 'lost 0', '4 dropped', 'two', 'three'],
  );
});

test('a log that can never be written holds up nobody and stops nothing', () => {
  const disk = { room: 0, text: '' };
  const log = logOn(disk);
  const startMs = performance.now();
  for (let i = 0; i < 1000; i++) log.info('lost');
  assert.ok(performance.now() - startMs < 2000);
  assert.equal(disk.text, '');
});

test('the message of an error that quotes its cause is told once, and the cause keeps its stack', () => {
  const cause = new Error('connect ECONNREFUSED\n  127.0.0.1:1');
  const quoting = Object.assign(new Error('no answer: connect ECONNREFUSED 127.0.0.1:1', { cause }), { code: 'blocked' }); // prettier-ignore
  const { message, stack, code } = errorFields(quoting) as Record<string, string>;
  assert.equal(message, 'no answer: connect ECONNREFUSED 127.0.0.1:1');
  assert.match(stack!, /caused by: Error: connect ECONNREFUSED\n/);
  assert.equal(code, 'blocked');
});

test('the message of a cause that an error does not quote is told behind its own', () => {
  const error = new Error('the stop failed', { cause: new Error('the file is gone', { cause: 'unknown' }) });
  assert.equal((errorFields(error) as Error).message, 'the stop failed: the file is gone');
  error.cause = error;
  assert.equal((errorFields(error) as Error).message, 'the stop failed');
  assert.equal(errorFields('no error'), 'no error');
});
