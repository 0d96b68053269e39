import { Command, type CommandUnknownOpts } from '@chronicleweaver/terminal';
import { handOver } from '../hand-over.ts';

/** Separate programs, which the command line only makes easier to find. */
const PROGRAMS = [
  ['stress', 'Send events, some of them twice, and check the books', '@chronicleweaver/publisher'],
  ['verify', "Walk a service's file or database from end to end", '@chronicleweaver/aggregator/verify'],
  ['backup', "Copy a service's file while it runs", '@chronicleweaver/aggregator/backup'],
  [
    'move',
    'Move everything from one store to another, a file or PostgreSQL',
    '@chronicleweaver/aggregator/move',
  ],
  ['keys', 'Create, list and revoke API keys', '@chronicleweaver/aggregator/keys'],
] as const;

/** The publisher has variables of its own. */
function nameService(): void {
  process.env['AGGREGATOR_URL'] ||= process.env['CHRONICLEWEAVER_URL'] ?? '';
  process.env['API_KEY'] ||= process.env['CHRONICLEWEAVER_KEY'] ?? '';
}

export function programCommands(): CommandUnknownOpts[] {
  return PROGRAMS.map(([name, summary, module]) =>
    new Command(name)
      .summary(summary)
      .argument('[arguments...]')
      .allowUnknownOption()
      .passThroughOptions()
      .helpOption(false)
      .action((args) => {
        if (name === 'stress') nameService();
        return handOver(import.meta.resolve(module), args);
      }),
  );
}
