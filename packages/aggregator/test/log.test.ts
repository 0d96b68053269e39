import assert from 'node:assert/strict';
import { test } from 'node:test';
import { pino } from 'pino';
import { LogLines } from '../src/log.ts';

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
