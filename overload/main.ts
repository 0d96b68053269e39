import { OptionError, type Options, USAGE, readOptions } from './options.ts';
import { faultsOf, reportText } from './report.ts';
import { runOverload } from './run.ts';

process.exitCode = await main();

async function main(): Promise<number> {
  let options: Options | 'help';
  try {
    options = readOptions(process.argv.slice(2));
  } catch (error) {
    if (!(error instanceof OptionError)) throw error;
    process.stderr.write(`${error.message}\n`);
    return 2;
  }
  if (options === 'help') {
    process.stdout.write(USAGE);
    return 0;
  }
  process.stderr.write(`overload: seed ${options.seed}, ${options.seconds} s\n`);
  const seen = await runOverload(options);
  process.stdout.write(reportText(seen, options));
  const faults = faultsOf(seen, options);
  for (const fault of faults) process.stderr.write(`overload: ${fault}\n`);
  return faults.length > 0 ? 1 : 0;
}
