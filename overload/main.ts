import { Stopped, run } from '@chronicleweaver/terminal';
import { type Options, overloadCommand } from './options.ts';
import { faultsOf, reportText } from './report.ts';
import { runOverload } from './run.ts';

process.exitCode = await run(overloadCommand(overload), 'overload');

async function overload(options: Options): Promise<void> {
  process.stderr.write(`overload: seed ${options.seed}, ${options.seconds} s\n`);
  const seen = await runOverload(options);
  process.stdout.write(reportText(seen, options));
  const faults = faultsOf(seen, options);
  for (const fault of faults) process.stderr.write(`overload: ${fault}\n`);
  if (faults.length > 0) throw new Stopped(1);
}
