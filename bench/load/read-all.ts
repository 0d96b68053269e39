import { get } from 'node:http';

/** The longest that a whole `GET /events` may take. */
const READ_MS_MAX = 10 * 60_000;

export interface ReadResult {
  readonly events: number;
  readonly bytes: number;
  readonly seconds: number;
}

/** Reads every event, one a line, and only counts events and bytes. */
export function readAll(port: number): Promise<ReadResult> {
  return new Promise((resolve, reject) => {
    const startMs = performance.now();
    const request = get(
      {
        host: '127.0.0.1',
        port,
        path: '/events',
        headers: { accept: 'application/x-ndjson' },
        agent: false,
        signal: AbortSignal.timeout(READ_MS_MAX),
      },
      (response) => {
        let events = 0;
        let bytes = 0;
        response.on('data', (chunk: Buffer) => {
          bytes += chunk.length;
          for (let at = chunk.indexOf(NEWLINE); at >= 0; at = chunk.indexOf(NEWLINE, at + 1)) events += 1;
        });
        response.on('error', reject);
        response.on('end', () => {
          if (response.statusCode === 200)
            resolve({ events, bytes, seconds: (performance.now() - startMs) / 1000 });
          else reject(new Error(`GET /events was answered with ${response.statusCode}`));
        });
      },
    );
    request.on('error', reject);
  });
}

const NEWLINE = 0x0a;
