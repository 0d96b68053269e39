import { type AddressInfo, createServer } from 'node:net';
import { Exchange } from '../../lab/connection.ts';
import { Program, until } from '../../lab/program.ts';
import { cpuSecondsOf } from '../../lab/proc.ts';
import type { Cores } from '../process/cores.ts';

/**
 * What a team builds on Redis for the same promise: a hash of the keys with their content, a stream of the events, one
 * script for each batch, synced before the answer. It returns how many events were new; it keeps all keys in memory.
 */
const SCRIPT = `
local new = 0
for i = 1, #ARGV, 2 do
  if redis.call('HSETNX', 'keys', ARGV[i], ARGV[i + 1]) == 1 then
    redis.call('XADD', 'log', '*', 'event', ARGV[i + 1])
    new = new + 1
  end
end
return new`;

/** A Redis with `appendfsync always`, pinned as our servers are. */
export class RedisProcess implements AsyncDisposable {
  readonly port: number;
  readonly #program: Program;

  private constructor(program: Program, port: number) {
    this.#program = program;
    this.port = port;
  }

  /** Rejects if there is no redis-server: Debian has it in the package of that name. */
  static async start(folder: string, cores: Cores): Promise<RedisProcess> {
    const port = await freePort();
    const pin = cores === null ? [] : ['taskset', '-c', String(cores.server)];
    const files = ['--dir', folder, '--save', '', '--appendonly', 'yes', '--appendfsync', 'always'];
    const command = [...pin, 'redis-server', '--bind', '127.0.0.1', '--port', String(port), ...files];
    const program = new Program(command, { cwd: folder });
    await until(
      () => `redis-server listens (it must be installed)\n${program.printed()}`,
      () => /Ready to accept connections/.test(program.stdout) || program.hasExited,
    );
    if (program.hasExited) throw new Error(`redis-server did not start\n${program.printed()}`);
    return new RedisProcess(program, port);
  }

  cpuSeconds(): number {
    return cpuSecondsOf(this.#program.pid);
  }

  /** The name under which it keeps the script. */
  async load(): Promise<string> {
    const connection = await RedisConnection.open(this.port);
    try {
      return await connection.request(command(['SCRIPT', 'LOAD', SCRIPT]));
    } finally {
      connection.close();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#program.kill();
  }
}

/** One batch on the wire: each event as its key and its text. */
export function batchCommand(
  script: string,
  events: readonly (readonly [key: string, text: string])[],
): Buffer {
  return command(['EVALSHA', script, '0', ...events.flat()]);
}

/** A command in RESP2: https://redis.io/docs/latest/develop/reference/protocol-spec/ */
function command(parts: readonly string[]): Buffer {
  const strings = parts.map((part) => `$${Buffer.byteLength(part)}\r\n${part}\r\n`);
  return Buffer.from(`*${parts.length}\r\n${strings.join('')}`);
}

/** A connection that understands integers and short strings. */
export class RedisConnection extends Exchange<string> {
  static async open(port: number): Promise<RedisConnection> {
    return new RedisConnection(await Exchange.connect(port), answerIn);
  }
}

function answerIn(received: string): { answer: string; end: number } | null {
  if (received.startsWith('-') && received.endsWith('\r\n')) throw new Error(`Redis: ${received.trim()}`);
  const found = /^(?:[:+](.*)\r\n|\$\d+\r\n(.*)\r\n)$/.exec(received);
  return found === null ? null : { answer: found[1] ?? found[2]!, end: received.length };
}

/** Redis takes no port 0. */
function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => resolve(port));
    });
  });
}
