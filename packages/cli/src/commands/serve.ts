import { Command, exitCodesText } from '@chronicleweaver/terminal';
import { examplesText } from '../service.ts';
import { handOver } from '../hand-over.ts';

/** The variable that each option sets; the service reads nothing else. */
const VARIABLES = {
  port: 'APP_PORT',
  host: 'HOST',
  file: 'DEDUPLICATION_DB_PATH',
  logLevel: 'LOG_LEVEL',
} as const;

/** Short-lived objects in the service are mostly views on buffers; a larger nursery only keeps dead ones longer. */
const NODE_FLAGS = ['--max-semi-space-size=4'];

/** `chronicleweaver serve`: becomes the service. */
export function serveCommand() {
  return new Command('serve')
    .summary('Start the service')
    .description('Starts the service; it runs until SIGINT or SIGTERM and then stops cleanly.')
    .option('--port <port>', 'port to listen on; 0 lets the system choose (APP_PORT, 8000)')
    .option('--host <address>', 'address to listen on (HOST, 127.0.0.1)')
    .option(
      '--file <path>',
      'the file that holds everything; created if missing (DEDUPLICATION_DB_PATH, data/chronicle.db)',
    )
    .option('--log-level <level>', 'debug also logs every dropped duplicate (LOG_LEVEL, info)')
    .addHelpText(
      'after',
      `\nAll other settings are variables in the environment or in .env: see docs/settings.md.`,
    )
    .addHelpText(
      'after',
      examplesText(['serve', 'serve --port 9000 --file /var/lib/chronicleweaver/events.db']),
    )
    .addHelpText(
      'after',
      exitCodesText({
        0: 'stopped cleanly by SIGINT or SIGTERM',
        1: 'it could not start, or could not stop cleanly',
        endsBySignal: true,
      }),
    )
    .action(async (options) => {
      for (const [name, variable] of Object.entries(VARIABLES)) {
        const value = options[name as keyof typeof VARIABLES];
        if (value !== undefined) process.env[variable] = value;
      }
      // The service restarts itself with these, if the system supports it.
      process.execArgv.push(...NODE_FLAGS);
      await handOver(import.meta.resolve('@chronicleweaver/aggregator/serve'), []);
    });
}
