import { setTimeout as delay } from 'node:timers/promises';
import type { Logger } from 'pino';
import { type Aggregator, startAggregator } from './aggregator.ts';
import { KeyFileError } from './access/key-file.ts';
import { type Config, ConfigError, readConfig, readEnvFile } from './config.ts';
import {
  type StopSignal,
  noteHangup,
  onStopSignal,
  stopWithNpm,
} from '@chronicleweaver/terminal/stop-signals';
import { createLog } from './log.ts';
import { StoreError } from './store/event-store.ts';

/**
 * After a signal the process ends within 10 s, whatever a reader or a disk does. The last second is for the exit
 * itself.
 */
const EXIT_WITHIN_MS = 9_000;

/** How long to wait after a signal for a start that is nearly complete, so that it can be stopped cleanly. */
const START_GRACE_MS = 500;

/** Runs the service until a signal ends it, and sets the exit code. */
export async function main(): Promise<void> {
  const config = configOrExit();
  // Loaded only where somebody looks: a program reads JSON.
  const toText = process.stdout.isTTY ? (await import('./log-text.ts')).logText : undefined;
  const log = createLog(config.logLevel, toText);
  // Before the start: somebody may stop the service the moment the log says that it is running.
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
  // Migrating an older file takes long, and may be killed at any moment.
  const aggregator = await Promise.race([
    starting,
    signalled.then(() => delay(START_GRACE_MS, null, { ref: false })),
  ]);
  if (aggregator === null) {
    log.info('stopped before the start was complete; the next start continues from there');
    process.exit(0);
  }

  const signal = await signalled;
  log.info({ signal }, 'stopping: no new requests; queued publishes are committed and answered');
  setTimeout(() => {
    log.error('the stop took too long; publishes without an answer may not be stored, and can be sent again');
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

/** One at a time, so that the last signal's files take effect. */
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

/** One line about the setting at fault; undefined if no setting is, when a stack trace says more. */
function complaintOf(error: unknown, config: Config): string | undefined {
  const { host, store, databasePath, metricsPort } = config;
  if (error instanceof ConfigError) return error.message;
  if (error instanceof StoreError) {
    const setting = store === `sqlite:${databasePath}` ? 'DEDUPLICATION_DB_PATH' : 'STORE_URL';
    return `${setting}: ${error.message}`;
  }
  if (error instanceof KeyFileError) return `API_KEYS_FILE: ${error.message}`;
  if (!(error instanceof Error && 'syscall' in error && 'code' in error)) return undefined;
  if (error.syscall !== 'listen' && error.syscall !== 'getaddrinfo') return undefined;
  const isOfMetrics = 'port' in error && error.port === metricsPort;
  const [setting, port] = isOfMetrics ? ['METRICS_PORT', metricsPort] : ['APP_PORT', config.port];
  switch (error.code) {
    case 'EADDRINUSE':
      return `${setting} is ${port}: ${error.message}; stop the process that listens there, or choose another port`;
    case 'EACCES':
      return `${setting} is ${port}: ${error.message}; the system reserves this port for other users`;
    default:
      return `HOST is ${JSON.stringify(host)}: ${error.message}; it takes an address of this machine`;
  }
}

function giveUp(message: string): never {
  process.stderr.write(`chronicleweaver: ${message}\n`);
  process.exit(1);
}
