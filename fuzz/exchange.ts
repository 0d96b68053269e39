import { connect } from 'node:net';
import { type Received, readResponses } from './http-response.ts';
import type { Step } from './step.ts';

export interface Exchange extends Received {
  /** From the last byte sent to the end of the exchange, milliseconds. */
  readonly tookMs: number;
  /** We closed our side, so the server may have left an answer unfinished. */
  readonly isEnded: boolean;
}

/** How long to wait in silence before closing our side, in case the server expects more bytes. */
const QUIET_MS = 150;
/** The longest that the whole exchange may take. */
const END_MS = 10_000;

/**
 * Sends a step's bytes on a connection of its own and reads until the server closes it. Unless the bytes are sure to be
 * whole requests, the server may wait for more, so after a short silence we close our side.
 * Throws a ResponseError if what comes back is not HTTP.
 */
export function exchange(port: number, { bytes, methods, isSure }: Step): Promise<Exchange> {
  return new Promise((resolve, reject) => {
    const pieces: Buffer[] = [];
    const startMs = performance.now();
    const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
    socket.setNoDelay(true);
    let isEnded = false;
    const end = (): void => {
      isEnded = true;
      socket.end();
    };
    const quiet = setTimeout(end, isSure ? END_MS : QUIET_MS);
    const late = setTimeout(() => finish(), END_MS);
    const finish = (): void => {
      clearTimeout(quiet);
      clearTimeout(late);
      socket.destroy();
      try {
        resolve({
          ...readResponses(Buffer.concat(pieces), methods),
          tookMs: performance.now() - startMs,
          isEnded,
        });
      } catch (error) {
        reject(error);
      }
    };
    socket.on('connect', () => socket.write(bytes));
    socket.on('data', (piece: Buffer) => {
      pieces.push(piece);
      // The connection closes after answers that end. A stream never ends, so there is nothing to wait for.
      if (isEventStream(pieces)) finish();
      else quiet.refresh();
    });
    // A server that refuses early may close before it has read everything.
    socket.on('error', () => undefined);
    socket.on('end', () => socket.end());
    socket.on('close', finish);
  });
}

function isEventStream(pieces: readonly Buffer[]): boolean {
  const text = pieces.at(-1)!.toString('latin1');
  return /\r\ncontent-type: text\/event-stream/i.test(text);
}
