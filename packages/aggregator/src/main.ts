import { setTimeout as delay } from 'node:timers/promises';
import { type Logger, pino } from 'pino';
import { type Aggregator, startAggregator } from './aggregator.ts';
import { KeyFileError } from './access/key-file.ts';
import { type Config, ConfigError, readConfig, readEnvFile } from './config.ts';
import {
  type StopSignal,
  noteHangup,
  onStopSignal,
  stopWithNpm,
} from '@chronicleweaver/terminal/stop-signals';
import { StoreError } from './store/event-store.ts';

/** After a signal the process ends within 10 s, whatever a reader or a disk does. The last second is for the exit itself. */
const EXIT_WITHIN_MS = 9_000;

/** How long after a signal to wait for a start that is nearly done, so that it can be stopped cleanly. */
const START_GRACE_MS = 500;

async function main(): Promise<void> {
  const config = configOrExit();
  const log = pino({ level: config.logLevel });
  // Before the start: whoever reads in the log that the service runs may stop it at that very moment.
  const signalled = new Promise<StopSignal>((resolve) => onStopSignal(resolve));
  stopWithNpm(() => log.info('npm, which started this, has ended'));
  const starting = startAggregator(config, log).catch((error: unknown) => {
    const complaint = complaintOf(error, config);
    if (complaint === undefined) throw error;
    giveUp(complaint);
  });
  // With nothing to reread, a closing terminal ends the service as usual; a service manager's reload never does.
  const hasFiles = config.apiKeysFile !== undefined || config.tls !== undefined;
  if (hasFiles || !process.stdout.isTTY) rereadOnHangup(starting, log);
  // Moving an older file over takes long, and may be killed at any moment.
  const aggregator = await Promise.race([
    starting,
    signalled.then(() => delay(START_GRACE_MS, null, { ref: false })),
  ]);
  if (aggregator === null) {
    log.info('stopped before the start was done; the next start goes on from there');
    process.exit(0);
  }

  const signal = await signalled;
  log.info({ signal }, 'stopping: no new requests, what is queued is committed and answered');
  setTimeout(() => {
    log.error('the stop took too long; what was not answered may not be stored, and may be sent again');
    process.exit(1);
  }, EXIT_WITHIN_MS).unref();
  try {
    await aggregator.close();
    log.info('stopped');
  } catch (error) {
    log.error({ err: error }, 'the stop failed');
    process.exitCode = 1;
  }
}

/** One at a time, so that what the last signal found is what stays in force. */
function rereadOnHangup(starting: Promise<Aggregator>, log: Logger): void {
  let reread: Promise<void> = Promise.resolve();
  process.on('SIGHUP', () => {
    noteHangup();
    reread = reread
      .then(async () => (await starting).reload())
      .catch((error: unknown) => {
        log.error({ err: error }, 'the new keys or certificate cannot be used; the old ones stay in force');
      });
  });
}

function configOrExit(): Config {
  try {
    readEnvFile();
    return readConfig(process.env);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    giveUp(error.message);
  }
}

/** One line about the setting that is at fault; undefined where none is, and a stack trace says more. */
function complaintOf(error: unknown, { host, port }: Config): string | undefined {
  if (error instanceof ConfigError) return error.message;
  if (error instanceof StoreError) return `DEDUPLICATION_DB_PATH: ${error.message}`;
  if (error instanceof KeyFileError) return `API_KEYS_FILE: ${error.message}`;
  if (!(error instanceof Error && 'syscall' in error && 'code' in error)) return undefined;
  if (error.syscall !== 'listen' && error.syscall !== 'getaddrinfo') return undefined;
  switch (error.code) {
    case 'EADDRINUSE':
      return `APP_PORT is ${port}: ${error.message}; stop what listens there, or name another port`;
    case 'EACCES':
      return `APP_PORT is ${port}: ${error.message}; the system gives this port to other users only`;
    default:
      return `HOST is ${JSON.stringify(host)}: ${error.message}; it takes an address of this machine`;
  }
}

function giveUp(message: string): never {
  process.stderr.write(`chronicleweaver: ${message}\n`);
  process.exit(1);
}

await main();
