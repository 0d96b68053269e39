import type { Options } from './options.ts';
import type { OverloadSeen } from './run.ts';

/** The limits that did not hold, a line each. What is stored was checked while it was read back. */
export function faultsOf(seen: OverloadSeen, options: Options): string[] {
  const { answers, health, peakBytes } = seen;
  const slowestMs = Math.max(...health.keptMs, ...health.freshMs);
  return [
    answers.refused === 0 ? 'nothing was refused, so this was not an overload; use more publishers' : '',
    answers.acknowledged === 0 ? 'nothing was acknowledged' : '',
    peakBytes > options.memoryBytesMax
      ? `the service reached ${mib(peakBytes)}, it may reach ${mib(options.memoryBytesMax)}`
      : '',
    slowestMs > options.healthMsMax
      ? `GET /health took ${ms(slowestMs)}, it may take ${ms(options.healthMsMax)}`
      : '',
  ].filter((fault) => fault !== '');
}

export function reportText(seen: OverloadSeen, options: Options): string {
  const { answers, health } = seen;
  const { publishers, batchBytes, seconds, syncMs } = options;
  return [
    `${publishers} publishers of ${mib(batchBytes)}, ${seconds} s, a sync takes ${syncMs} ms, seed ${options.seed}`,
    `acknowledged  ${answers.acknowledged} publishes; ${times(answers.acknowledgedMs)}`,
    `refused       ${answers.refused} publishes, 503 with Retry-After each; ${times(answers.refusedMs)}`,
    `read back     ${seen.eventsStored} events: all of the acknowledged publishes and no others, as they were sent`,
    `memory        at most ${mib(seen.peakBytes)}`,
    `GET /health   ${health.keptMs.length} asked on one connection; ${times(health.keptMs)}`,
    `              ${health.freshMs.length} on new ones; ${times(health.freshMs)}`,
    `strangers     ${seen.strangersClosed} of their connections were closed`,
    '',
  ].join('\n');
}

function times(all: readonly number[]): string {
  const sorted = all.toSorted((a, b) => a - b);
  const at = (share: number): string => ms(sorted[Math.floor((sorted.length - 1) * share)] ?? NaN);
  return `median ${at(0.5)}, 99 % within ${at(0.99)}, all within ${at(1)}`;
}

function ms(number: number): string {
  return `${number < 10 ? number.toFixed(1) : Math.round(number)} ms`;
}

function mib(bytes: number): string {
  return `${Math.round(bytes / 1024 / 1024)} MiB`;
}
