import { cpus } from 'node:os';
import { constants, zstdCompressSync } from 'node:zlib';
import { PUBLISHERS } from './load/closed-loop.ts';
import type { Cores } from './process/cores.ts';
import type { Machine } from './results.ts';

/** What the numbers of this run depend on: the machine and the events. */
export function describeMachine(cores: Cores, folder: string, eventText: (k: number) => string): Machine {
  const body = Buffer.from(Array.from({ length: 1000 }, (_, k) => eventText(k)).join(','));
  const packed = zstdCompressSync(body, { params: { [constants.ZSTD_c_compressionLevel]: 1 } });
  return {
    at: new Date().toISOString(),
    processor: cpus()[0]?.model ?? 'unknown processor',
    cores: cpus().length,
    node: process.version,
    folder,
    pinned: cores,
    publishers: PUBLISHERS,
    eventBytes: body.length / 1000,
    zstdShare: packed.length / body.length,
  };
}
