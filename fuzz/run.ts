import { SeededRandom } from '../lab/random.ts';
import { differencesBetween, throughFramework } from './both-ways.ts';
import { type Exchange, exchange } from './exchange.ts';
import { ResponseError } from './http-response.ts';
import { faultsIn } from './judge.ts';
import { Ledger } from './ledger.ts';
import { minimized } from './minimize.ts';
import { operationsOf } from './operations.ts';
import type { Options } from './options.ts';
import { type Step, stepOf } from './step.ts';
import { Target, type TargetOptions } from './target.ts';

/** How many steps lie between two checks of the books. */
const GROUP_STEPS = 64;
const CONNECTIONS = 32;

export interface Fuzzed {
  steps: number;
  /** Answers by status. */
  readonly answers: Map<number, number>;
  stored: number;
  readonly findings: Finding[];
}

/** Something that must not happen. */
export interface Finding {
  readonly steps: readonly number[];
  readonly faults: readonly string[];
  /** The fewest bytes found that show it; null if no step shows it alone. */
  readonly bytes: Buffer | null;
}

/** Sends the steps of a seed in groups, and checks answers, books, log and process after each. */
export async function fuzz(
  options: Options,
  onGroup: (fuzzed: Fuzzed) => void,
  onFinding: (finding: Finding) => void,
  command?: readonly string[],
): Promise<Fuzzed> {
  const service: TargetOptions = { guarded: options.guarded, ...(command && { command }) };
  const fuzzed: Fuzzed = { steps: 0, answers: new Map(), stored: 0, findings: [] };
  const random = new SeededRandom(options.seed);
  let target = await Target.start(service);
  try {
    const operations = await operationsOf(target.url, target.headers);
    let ledger = new Ledger();
    for (let first = options.from; first < options.to; first += GROUP_STEPS) {
      const count = Math.min(GROUP_STEPS, options.to - first);
      const steps = Array.from({ length: count }, (_, i) =>
        stepOf(random.fork(first + i), first + i, operations, options.guarded),
      );
      const faults = await runGroup(target, steps, ledger, fuzzed);
      fuzzed.steps += count;
      if (faults.length > 0) {
        const finding = await findingOf(steps, faults, options.triesMax, service);
        fuzzed.findings.push(finding);
        onFinding(finding);
        // Its state no longer matches the ledger.
        await target.stop();
        target = await Target.start(service);
        ledger = new Ledger();
        if (fuzzed.findings.length >= options.findingsMax) break;
      }
      onGroup(fuzzed);
    }
    const faults = [...(await ledger.faultsIn(target)), ...(await target.stop())];
    if (faults.length > 0) {
      const suspects = [...stepsIn(faults)].slice(0, SUSPECTS_MAX);
      const steps = suspects.map((index) => stepOf(random.fork(index), index, operations, options.guarded));
      const finding = await findingOf(steps, faults, options.triesMax, service);
      fuzzed.findings.push(finding);
      onFinding(finding);
    }
    fuzzed.stored += ledger.accepted;
  } finally {
    await target.stop();
  }
  return fuzzed;
}

/** Sends the steps, several at a time, and returns everything that is wrong. */
async function runGroup(
  target: Target,
  steps: readonly Step[],
  ledger: Ledger,
  fuzzed?: Fuzzed,
): Promise<string[]> {
  const faults: string[] = [];
  const waiting = steps.values();
  let isUnsure = false;
  const answerTo = async (step: Step): Promise<Exchange | null> => {
    const answered = await sent(target, step);
    if (answered instanceof ResponseError) {
      faults.push(`step ${step.index}: ${answered.message}`);
      return null;
    }
    for (const fault of faultsIn(step, answered, target.isGuarded))
      faults.push(`step ${step.index}: ${fault}`);
    ledger.note(step, answered);
    // A publish may have been stored although its answer came too late.
    if (!step.isSure && answered.responses.length < (step.methods?.length ?? Infinity)) isUnsure = true;
    for (const { status } of answered.responses) {
      fuzzed?.answers.set(status, (fuzzed.answers.get(status) ?? 0) + 1);
    }
    return answered;
  };
  const connection = async (): Promise<void> => {
    for (const step of waiting) {
      const answered = await answerTo(step);
      const again = throughFramework(step);
      const answeredAgain = again && (await answerTo(again));
      if (answered === null || answeredAgain === null) continue;
      for (const difference of differencesBetween(answered, answeredAgain))
        faults.push(`step ${step.index}: ${difference}`);
    }
  };
  await Promise.all(Array.from({ length: CONNECTIONS }, connection));
  await target.settle();
  const complaints = await target.complaints();
  if (complaints.length > 0) return [...faults, ...complaints];

  const stats = await target.stats();
  const beyond = stats.received - ledger.received;
  const recordsMax = steps.reduce((sum, one) => sum + one.recordsMax, 0);
  if (beyond < 0 || (beyond > recordsMax && !isUnsure)) {
    faults.push(`${ledger.received} events were answered for, the books say ${JSON.stringify(stats)}`);
  }
  if (stats.received !== stats.unique_processed + stats.duplicated_dropped) {
    faults.push(`the books do not balance: ${JSON.stringify(stats)}`);
  }
  if (
    stats.last_offset < ledger.accepted ||
    (stats.last_offset > ledger.accepted + recordsMax && !isUnsure)
  ) {
    faults.push(`${ledger.accepted} events were accepted, the books say ${JSON.stringify(stats)}`);
  }
  ledger.unknown += stats.last_offset - ledger.accepted;
  ledger.received = stats.received;
  ledger.accepted = stats.last_offset;
  return faults;
}

async function sent(target: Target, step: Step): Promise<Exchange | ResponseError> {
  try {
    return await exchange(target.port, step);
  } catch (error) {
    if (error instanceof ResponseError) return error;
    throw error;
  }
}

/** Looks for a step of the group that shows the fault alone, and for the fewest of its bytes that do. */
async function findingOf(
  group: readonly Step[],
  faults: readonly string[],
  triesMax: number,
  service: TargetOptions,
): Promise<Finding> {
  const fails = async (some: readonly Step[]): Promise<boolean> =>
    (await faultsAlone(some, service)).length > 0;
  const named = group.filter(({ index }) => faults.some((fault) => fault.startsWith(`step ${index}:`)));
  let steps = named.length === 1 && (await fails(named)) ? named : group;
  while (steps.length > 1) {
    const middle = Math.floor(steps.length / 2);
    const half = [steps.slice(0, middle), steps.slice(middle)];
    const failing = (await fails(half[0]!)) ? half[0] : (await fails(half[1]!)) ? half[1] : undefined;
    if (failing === undefined) break;
    steps = failing;
  }
  const [step, ...others] = steps;
  if (step === undefined || others.length > 0 || !(await fails(steps))) {
    return { steps: steps.map(({ index }) => index), faults, bytes: null };
  }
  const bytes = await minimized(step.bytes, triesMax, (fewer) =>
    // Without what we know of the request, so that only what is always wrong counts.
    fails([{ ...step, bytes: fewer, methods: null, isSure: false, publishes: [] }]),
  );
  return { steps: [step.index], faults: await faultsAlone(steps, service), bytes };
}

const SUSPECTS_MAX = 5;

/** The steps that sent the faulty events: an id begins with its request's number, ten of which make a step. */
function stepsIn(faults: readonly string[]): Set<number> {
  const numbers = faults.flatMap((fault) =>
    [...fault.matchAll(/"event_id":"(\d+)-/g)].map(([, number]) => number),
  );
  return new Set(numbers.map((number) => Math.floor(Number(number) / 10)));
}

/** What is wrong when a fresh service gets only these steps. */
export async function faultsAlone(steps: readonly Step[], service: TargetOptions): Promise<string[]> {
  const target = await Target.start(service);
  const ledger = new Ledger();
  try {
    const faults = await runGroup(target, steps, ledger);
    return faults.length > 0 ? faults : await ledger.faultsIn(target);
  } finally {
    await target.stop();
  }
}
