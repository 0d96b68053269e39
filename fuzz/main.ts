import { readFileSync, writeFileSync } from 'node:fs';
import { Stopped, createProgress, run } from '@chronicleweaver/terminal';
import { type Options, fuzzCommand } from './options.ts';
import { type Finding, faultsAlone, fuzz } from './run.ts';

process.exitCode = await run(fuzzCommand(find, replay), 'fuzz');

async function find(options: Options): Promise<void> {
  const { seed, from, to } = options;
  process.stderr.write(`fuzz: seed ${seed}, steps ${from} to ${to - 1}\n`);
  const progress = createProgress({ what: 'fuzz', total: to - from, unit: 'steps' });
  const fuzzed = await fuzz(
    options,
    ({ steps, findings }) => progress.advance(steps, `${findings.length} findings`),
    (finding) => process.stdout.write(findingText(finding, options)),
  );
  progress.stop();
  const answers = [...fuzzed.answers].toSorted(([a], [b]) => a - b);
  process.stdout.write(
    `${fuzzed.steps} steps of seed ${seed}; answers: ${answers.map(([status, count]) => `${status} ${count}×`).join(', ')}; ` +
      `${fuzzed.stored} events stored and read back; ${fuzzed.findings.length} findings\n`,
  );
  if (fuzzed.findings.length > 0) throw new Stopped(1);
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

async function replay(file: string, guarded: boolean): Promise<void> {
  const bytes = readFileSync(file);
  const step = {
    index: 0,
    bytes,
    methods: null,
    isSure: false,
    isOnePublish: true,
    publishes: [],
    makesEvents: false,
    recordsMax: bytes.length,
  };
  const faults = await faultsAlone([step], { guarded });
  process.stdout.write(faults.length === 0 ? 'nothing is wrong with the answer\n' : `${faults.join('\n')}\n`);
  if (faults.length > 0) throw new Stopped(1);
}
