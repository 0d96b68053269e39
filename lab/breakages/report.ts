import { OUTCOMES, type Result, isExpected } from './run.ts';

/** The table of all results, then details of the unexpected ones. */
export function reportText(results: readonly Result[]): string {
  const rows = results
    .toSorted((a, b) => a.breakage.file.localeCompare(b.breakage.file))
    .map((result) => {
      const { breakage, outcome, ms } = result;
      const mark = isExpected(result) ? ' ' : '!';
      const file = breakage.file.replace(/^packages\//, '');
      return `${mark} ${outcome.padEnd(14)} ${seconds(ms)}  ${file}: ${breakage.breaks}`;
    });
  const unexpected = results.filter((result) => !isExpected(result));
  const counts = OUTCOMES.map(
    (outcome) => `${results.filter((result) => result.outcome === outcome).length} ${outcome}`,
  );
  return [...rows, ...unexpected.map(faultText), '', `${results.length} breakages: ${counts.join(', ')}`, '']
    .join('\n')
    .replace(/^\n/, '');
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1).padStart(5)} s`;
}

function faultText({ breakage, outcome, by }: Result): string {
  const { file, breaks, find, replace, tests, survives } = breakage;
  const why =
    outcome === 'noticed'
      ? `"${by}" noticed it, although it should survive: ${survives}`
      : outcome === 'fails unbroken'
        ? `its tests fail on the unbroken sources: ${by ?? 'they do not end'}`
        : outcome === 'timed out'
          ? 'its tests do not end, which proves little; use `hangs` if no other outcome is possible'
          : 'no test noticed';
  return [
    '',
    `${file}: ${breaks}`,
    `  - ${find}`,
    `  + ${replace}`,
    `  ${why}`,
    `  in ${tests.join(', ')}`,
  ].join('\n');
}
