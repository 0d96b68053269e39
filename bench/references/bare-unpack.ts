import { DatabaseSync } from 'node:sqlite';
import { Block, type BlockRow } from '../../packages/aggregator/src/store/blocks/block-format.ts';

/**
 * The reference for `GET /events`: how fast the blocks of a file decompress if nothing is done with their events except to
 * touch each text. The first pass does not count.
 *
 * usage: node bare-unpack.ts FILE PASSES
 */
const [path = '', passes = ''] = process.argv.slice(2);
const db = new DatabaseSync(path, { readOnly: true });
const blocks = db.prepare('SELECT first_offset, directory, body FROM block ORDER BY first_offset');

const seconds: number[] = [];
const cpuSeconds: number[] = [];
let events = 0;
let bytes = 0;
let touched = 0;
for (let pass = 0; pass <= Number(passes); pass++) {
  events = 0;
  bytes = 0;
  const startMs = performance.now();
  const cpuBefore = process.cpuUsage();
  for (const row of blocks.iterate() as Iterable<unknown> as Iterable<BlockRow & { first_offset: number }>) {
    const block = new Block(row.first_offset, row);
    for (let i = 0; i < block.count; i++) {
      const text = block.text(i);
      touched ^= text[text.length - 1]!;
      bytes += text.length;
    }
    events += block.count;
    block.release();
  }
  if (pass === 0) continue;
  const cpu = process.cpuUsage(cpuBefore);
  seconds.push((performance.now() - startMs) / 1000);
  cpuSeconds.push((cpu.user + cpu.system) / 1e6);
}
db.close();
process.stdout.write(`${JSON.stringify({ events, bytes, seconds, cpuSeconds, touched })}\n`);
