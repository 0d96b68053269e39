import { readFileSync, writeFileSync } from 'node:fs';
import { OptionError, type Options, USAGE, readOptions } from './options.ts';
import { type Finding, faultsAlone, fuzz } from './run.ts';

const TOLD_EVERY_MS = 10_000;

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
  if (options.replay !== null) return replay(options.replay, options.guarded);

  const { seed } = options;
  process.stderr.write(`fuzz: seed ${seed}, steps ${options.from} to ${options.to - 1}\n`);
  let told = performance.now();
  const fuzzed = await fuzz(
    options,
    ({ steps, findings }) => {
      if (performance.now() - told < TOLD_EVERY_MS) return;
      told = performance.now();
      process.stderr.write(`fuzz: ${steps} steps, ${findings.length} findings\n`);
    },
    (finding) => process.stdout.write(findingText(finding, options)),
  );
  const answers = [...fuzzed.answers].toSorted(([a], [b]) => a - b);
  process.stdout.write(
    `${fuzzed.steps} steps of seed ${seed}; answers: ${answers.map(([status, count]) => `${status} ${count}×`).join(', ')}; ` +
      `${fuzzed.stored} events stored and read back; ${fuzzed.findings.length} findings\n`,
  );
  return fuzzed.findings.length > 0 ? 1 : 0;
}

function findingText({ steps, faults, bytes }: Finding, { seed, guarded }: Options): string {
  const lines = faults.slice(0, 10).map((fault) => `  ${fault}\n`);
  if (bytes === null) {
    const where = steps.length > 0 ? `steps ${steps[0]} to ${steps.at(-1)}` : 'the whole run';
    return `found in ${where}, by no step alone:\n${lines.join('')}`;
  }
  const file = `fuzz-${seed}-${steps[0]}.bin`;
  writeFileSync(file, bytes);
  const flag = guarded ? '--guarded ' : '';
  const shown = JSON.stringify(bytes.toString('latin1', 0, 300));
  return (
    `found by step ${steps[0]}:\n${lines.join('')}  bytes: ${shown}\n` +
    `  again: npm run fuzz -- ${flag}--seed ${seed} --step ${steps[0]}, or npm run fuzz -- ${flag}--replay ${file}\n`
  );
}

async function replay(file: string, guarded: boolean): Promise<number> {
  const bytes = readFileSync(file);
  const faults = await faultsAlone([{ index: 0, bytes, methods: null, isSure: false, publishes: [] }], {
    guarded,
  });
  process.stdout.write(faults.length === 0 ? 'nothing is wrong with the answer\n' : `${faults.join('\n')}\n`);
  return faults.length > 0 ? 1 : 0;
}
